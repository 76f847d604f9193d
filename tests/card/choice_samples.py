"""Reports of methods that choose among candidates, for the card's tests."""

from card_samples import Sample, commit, pinned, sample

from ramekin.choice import (
    ReportedActivation,
    ReportedCalibration,
    ReportedCandidate,
    ReportedComparison,
    ReportedCrossOverlap,
    ReportedData,
    ReportedMeasures,
    ReportedSample,
    ReportedTransplant,
)
from ramekin.lock.model import CardFacts, Lock
from ramekin.methods import Arm, BestOf
from ramekin.methods.choosing import Choosing
from ramekin.methods.ram import Overlap, RamFamily
from ramekin.records import FileRecord, report_overlap

DONORS = {"tau-bench": "tool", "officebench": "coder", "webshop": "memory", "os": "memory"}
ROLES = {"tau-bench": "tool-call", "officebench": "officebench", "webshop": "webshop", "os": "agentbench-os"}
LAYERS, WIDTH = 28, 18_944
PIECES = (
    ("<|im_start|>assistant\nLet me look.\n", False),
    ('<tool_call>\n{"name": "find_user", "arguments": {"email": "a@b.example"}}\n</tool_call>', True),
    ("<|im_end|>\n […] ", False),
    ('{"name": "cancel", "arguments": {"id": "#W1"}}', True),
)


def calibrations(donors: dict[str, str], *, dev: bool = True) -> dict[str, ReportedCalibration]:
    """One for each benchmark, by its donor."""
    return {
        name: ReportedCalibration(
            expert=expert,
            role=ROLES.get(name, "tool-call"),
            source=f"org/{name}-runs" if place else "./runs/tau.jsonl",
            commit=commit(place + 3),
            file="train.jsonl" if place else "tau.jsonl",
            on_hub=bool(place),
            license="cc-by-4.0" if place % 2 else None,
            trajectories=120 - 7 * place,
            without=place,
            dropped=place % 2,
            twice=0,
            cut=2 * place,
            tokens=512_345 - 1000 * place,
            role_tokens=23_456 + 777 * place,
            violations=3 * place,
            violating=place,
            dev_trajectories=30 if dev else 0,
            dev_tokens=5_100 + place if dev else 0,
            held_out=dev and place < 2,
            dev=ReportedData(source="org/dev", commit=commit(9), file="dev.jsonl", on_hub=place == 2)
            if dev and place > 1
            else None,
            template="ef" * 32 if place != 1 else None,
            data_sha256=f"{place:x}".rjust(2, "d") * 32,
            dev_sha256=f"{place:x}".rjust(2, "e") * 32 if dev else None,
            split_half=round(0.97 - 0.03 * (place % 3), 3) if place != 3 else None,
            scored="given" if place == 2 else "measured" if place == 3 else None,
            warnings=("more than half of the trajectories do not have the role",) if place == 3 else (),
        )
        for place, (name, expert) in enumerate(donors.items())
    }


def measured(
    method: Choosing, benchmarks: list[str], *, likelihood: bool, scores: bool
) -> dict[str, ReportedCandidate]:
    """All candidates, with numbers that differ in a way that can be told again."""
    found = {}
    for place, (name, entry) in enumerate(method.candidates.items()):
        aos = {
            b: round(0.31 + 0.043 * ((place * 5 + 3) % 7) - 0.021 * (n % 7) + 0.004 * place, 4)
            for n, b in enumerate(benchmarks)
        }
        mean = sum(aos.values()) / len(aos)
        losses = {b: round(1.2 - mean + 0.031 * (n % 7) + 0.047 * (place * 2 % 5), 4) for n, b in enumerate(benchmarks)}
        right = {
            b: round(min(0.97, 1.36 - losses[b] + 0.1 * (n % 2) + 0.05 * (place % 2)), 2)
            for n, b in enumerate(benchmarks)
        }
        found[name] = ReportedCandidate(
            method=entry,
            aos=aos,
            mean_aos=mean,
            aos_layer_mean=mean + 0.011,
            likelihood=losses if likelihood else {},
            scores=right if scores else {},
            changed=1_177_036_032 + 1_000_003 * place,
        )
    return found


def experts_of(donors: dict[str, str], *, likelihood: bool, scores: bool) -> dict[str, ReportedMeasures]:
    """What the experts reach on their own benchmarks."""
    return {
        name: ReportedMeasures(
            likelihood={name: round(0.31 + 0.02 * place, 4)} if likelihood else {},
            scores={name: 0.8 + 0.05 * (place % 2)} if scores else {},
        )
        for place, name in enumerate(donors)
    }


def crossing(benchmarks: list[str], level: float) -> ReportedCrossOverlap:
    """Sets that have much in common, or little."""
    near = {
        one: {
            other: 1.0 if one == other else round(level * (0.6 + 0.1 * ((i + j) % 4)), 4)
            for j, other in enumerate(benchmarks)
        }
        for i, one in enumerate(benchmarks)
    }
    return ReportedCrossOverlap(
        of_union=level,
        of_own={name: round(level + 0.02 * (n % 9), 4) for n, name in enumerate(benchmarks)},
        pairwise=near,
    )


def transplanted(donors: dict[str, str], weak: tuple[str, ...], layers: int = LAYERS) -> dict[str, ReportedTransplant]:
    """More in the middle of the model, and some that collide."""
    found = {}
    for place, name in enumerate(weak):
        per_layer = tuple(120 + 11 * place + 14 * min(layer, layers - 1 - layer) for layer in range(layers))
        count = sum(per_layer)
        found[name] = ReportedTransplant(
            expert=donors[name],
            salient=53_060,
            protected=53_060 - count,
            neurons=count,
            applied=count - (0 if place == len(weak) - 1 else 417),
            fraction=count / (layers * WIDTH),
            per_layer=per_layer,
            gap=0.0412 + 0.03 * place,
        )
    return found


def arm_sample(
    donors: dict[str, str] | None = None,
    weak: tuple[str, ...] = ("officebench", "tau-bench"),
    *,
    method: Arm | None = None,
    selected: str | None = None,
    rule: str = "likelihood",
    scores: bool = False,
    agnostic: bool = True,
    layers: int = LAYERS,
    sources: dict[str, str] | None = None,
    samples: tuple[ReportedSample, ...] | None = None,
    warnings: tuple[str, ...] = (),
) -> Sample:
    """ARM: three experts, four benchmarks, six candidates and two weak benchmarks, unless told otherwise."""
    donors = donors or DONORS
    names, method = list(donors), method or Arm()
    candidates = measured(method, names, likelihood=rule == "likelihood", scores=scores)
    means = {name: each.mean_aos or 0.0 for name, each in candidates.items()}
    best = selected or max(means, key=lambda name: means[name])
    first, second = sorted(means.values(), reverse=True)[:2]
    made = sample(
        sources,
        method=method,
        files={
            "config.json": FileRecord(size=663, sha256="1" * 64),
            "ramekin/neurons.safetensors": FileRecord(size=530_944, sha256="5" * 64),
        },
    )
    gaps = {name: round(0.0412 + 0.03 * weak.index(name), 4) if name in weak else 0.0071 for name in names}
    experts = {
        name: ReportedMeasures(
            likelihood={name: round(candidates[best].likelihood[name] - gap, 4)} if rule == "likelihood" else {},
            scores={name: 0.9} if scores else {},
        )
        for name, gap in gaps.items()
    }
    comparison = ReportedComparison(
        signals=("aos",),
        decided_by="aos",
        selected=best,
        margin=first - second,
        top_k=0.1,
        dtype="bfloat16",
        device="NVIDIA H200",
        torch="2.13.0",
        transformers="5.23.0",
        candidates=candidates,
        experts=experts,
        calibration=calibrations(donors, dev=rule == "likelihood"),
        samples=(ReportedSample(benchmark=names[0], trajectory="tau-17-2", pieces=PIECES),)
        if samples is None
        else samples,
        warnings=warnings,
    )
    parts = transplanted(donors, weak, layers)
    activation = ReportedActivation(
        top_k=0.1,
        chance=1 / 19,
        aos={name: each.aos for name, each in candidates.items()},
        mean_aos=means,
        aos_layer_mean={name: each.aos_layer_mean or 0.0 for name, each in candidates.items()},
        per_layer={
            name: tuple(
                round(0.25 + 0.05 * (n % 5) + 0.22 * abs(2 * layer / layers - 1) + 0.02 * (layer * (n + 3) % 4), 4)
                for layer in range(layers)
            )
            for n, name in enumerate(names)
        },
        selected=best,
        margin=first - second,
        neurons=layers * WIDTH,
        overlap=crossing(names, 0.41),
        overlap_agnostic=crossing(names, 0.61) if agnostic else None,
        rule=rule,
        weak=weak,
        gaps=gaps if rule in {"likelihood", "scores"} else {},
        transplanted=parts,
        collisions=417 * (len(weak) - 1) if weak else 0,
        weights_replaced=3 * 3_584 * sum(each.applied for each in parts.values()),
    )
    report = made.report.model_copy(update={"comparison": comparison, "activation": activation})
    return Sample(report, with_runs(made.lock, comparison))


def best_of_sample(
    donors: dict[str, str] | None = None,
    *,
    method: BestOf | None = None,
    likelihood: bool = True,
    scores: bool = True,
    aos: bool = True,
    selected: str = "ram",
    decided_by: str = "likelihood",
) -> Sample:
    """The best of nine by likelihood, with scores beside it."""
    donors, method = donors or DONORS, method or BestOf()
    candidates = measured(method, list(donors), likelihood=likelihood, scores=scores)
    if not aos:
        bare = {"aos": {}, "mean_aos": None, "aos_layer_mean": None}
        candidates = {name: each.model_copy(update=bare) for name, each in candidates.items()}
    made = sample(method=method)
    report = made.report
    if isinstance(candidates[selected].method, RamFamily):
        overlap = Overlap(tuple(report.overlap.patterns.values()))
        names = tuple(expert.name for expert in report.experts)
        factors = candidates[selected].method.lambdas(overlap)
        report = report.model_copy(update={"overlap": report_overlap(overlap, names, factors)})
    known = {name: mean for name, each in candidates.items() if (mean := each.mean_likelihood) is not None}
    margin = min([known[name] for name in known if name != selected], default=0.0) - known.get(selected, 0.0)
    comparison = ReportedComparison(
        signals=(decided_by,),
        decided_by=decided_by,
        selected=selected,
        margin=margin,
        top_k=0.1,
        dtype="bfloat16",
        candidates=candidates,
        experts=experts_of(donors, likelihood=likelihood, scores=scores),
        calibration=calibrations(donors),
    )
    return Sample(report.model_copy(update={"comparison": comparison}), with_runs(made.lock, comparison))


def with_runs(lock: Lock, comparison: ReportedComparison, *, private: bool = False) -> Lock:
    """A lock that pins the recorded runs of a comparison."""
    data = {}
    for place, (name, found) in enumerate(comparison.calibration.items()):
        runs = pinned("org/runs", place % 16, CardFacts(license=found.license))
        data[f"data:{name}:calibration"] = runs.model_copy(update={"private": private, "repo_type": "dataset"})
    return lock.model_copy(update={"data": data})


def crowded(benchmarks: int = 64, candidates: int = 64) -> Sample:
    """As many benchmarks and candidates as there can be."""
    pool = [{"name": "ties", "density": round(0.01 * (place + 1), 2)} for place in range(candidates)]
    names = [f"benchmark-{place}-with-a-rather-long-name" for place in range(benchmarks)]
    donors = dict(zip(names, ("coder", "tool", "memory") * 22, strict=False))
    return arm_sample(donors, tuple(names[: benchmarks // 2]), method=Arm(pool=pool))
