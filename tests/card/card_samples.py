"""Reports, locks and texts for the card's tests."""

from dataclasses import dataclass

from ramekin.lock.model import CardFacts, Lock, PinnedFile, PinnedSource
from ramekin.methods import AnyMethod, RamPlus
from ramekin.methods.ram import Overlap, RamFamily
from ramekin.records import FileRecord, report_overlap
from ramekin.report import Report, ReportedExpert, ReportedOutput, ReportedSource

KEY = "sha256:" + "ab" * 32


@dataclass(frozen=True)
class Sample:
    """What a card is made of."""

    report: Report
    lock: Lock


def commit(place: int) -> str:
    return f"{place:x}" * 40


def pinned(source: str, place: int, card: CardFacts) -> PinnedSource:
    kind = "local" if source.startswith((".", "/")) else "hub"
    files = {"model.safetensors": PinnedFile(size=1, sha256="0" * 64)}
    return PinnedSource(source=source, kind=kind, commit=commit(place), card=card, files=files)


def sample(
    experts: dict[str, str] | None = None,
    counts: tuple[int, ...] | None = None,
    *,
    base: str = "Qwen/Qwen2.5-7B-Instruct",
    cards: dict[str, CardFacts] | None = None,
    method: AnyMethod | None = None,
    repo: str = "my-org/agent-7b",
    notes: tuple[str, ...] = (),
    files: dict[str, FileRecord] | None = None,
) -> Sample:
    """Three experts, unless told otherwise; `counts` has one number per pattern as in `Overlap`."""
    experts = experts or {
        "coder": "Gen-Verse/ReasonFlux-Coder-7B",
        "tool": "emrecanacikgoz/Qwen2.5-7B-Instruct-ToolRL-grpo-cold",
        "memory": "BytedTsinghua-SIA/RL-MemoryAgent-7B",
    }
    # Pattern index 0b001 is the first expert alone.
    counts = counts or (
        6_412_345_678,
        812_345_678,
        98_765_432,
        20_123_456,
        201_234_567,
        31_234_567,
        9_876_543,
        3_456_789,
    )
    names = tuple(experts)
    facts = {"base": CardFacts(license="apache-2.0", language=("en",), pipeline_tag="text-generation")}
    facts |= dict.fromkeys(names, CardFacts(license="apache-2.0", parents={base: "apache-2.0"}))
    facts |= cards or {}
    chosen = method or RamPlus()
    overlap = Overlap(counts)
    report = Report(
        schema_version=1,
        key=KEY,
        ramekin="0.1.0",
        method=chosen,
        base=ReportedSource(source=base, commit=commit(10), license=facts["base"].license),
        experts=tuple(
            ReportedExpert(name=name, source=source, commit=commit(place), license=facts[name].license)
            for place, (name, source) in enumerate(experts.items())
        ),
        overlap=report_overlap(overlap, names, chosen.lambdas(overlap) if isinstance(chosen, RamFamily) else None),
        notes=notes,
        texts="sha256:" + "cd" * 32,
        # Not validated: the card has to stand names that a report which was read cannot have.
        output=ReportedOutput.model_construct(
            repo=repo,
            commit=None,
            files=files
            or {
                "config.json": FileRecord(size=663, sha256="1" * 64),
                "model-00001-of-00002.safetensors": FileRecord(size=4_976_698_672, sha256="2" * 64),
                "model-00002-of-00002.safetensors": FileRecord(size=4_932_807_296, sha256="3" * 64),
                "ramekin/merge.lock": FileRecord(size=4_321, sha256="4" * 64),
            },
        ),
    )
    lock = Lock(
        schema_version=1,
        key=KEY,
        semantics=1,
        base=pinned(base, 10, facts["base"]),
        experts={name: pinned(source, place, facts[name]) for place, (name, source) in enumerate(experts.items())},
    )
    return Sample(report, lock)


def many(experts: int) -> Sample:
    """As many experts, with counts that fall off the more of them share a change."""
    names = {f"expert-{place}": f"org/expert-{place}" for place in range(experts)}
    counts = [9_000_000_000]
    counts += [(pattern * 7919 % 1_000_003) * 10 ** max(0, 3 - pattern.bit_count()) for pattern in range(1, 2**experts)]
    return sample(names, tuple(counts))
