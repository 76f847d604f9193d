"""Reports with statistics by module, and with task scores, for the card's tests."""

from collections.abc import Mapping, Sequence

from card_samples import Sample, sample

from ramekin.records import ModuleOverlap
from ramekin.scores import ReportedBar, ReportedEvaluation, ReportedScore, ReportedTask

KINDS = (
    "embed_tokens",
    "input_layernorm",
    "mlp.down_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "post_attention_layernorm",
    "self_attn.k_proj",
    "self_attn.o_proj",
    "self_attn.q_proj",
    "self_attn.v_proj",
    "norm",
)
OUTSIDE = frozenset({"embed_tokens", "norm", "lm_head"})
SCORES: Mapping[str, Mapping[str, float]] = {
    "base": {"humaneval": 0.41, "bfcl": 0.38, "ruler": 0.22},
    "expert:coder": {"humaneval": 0.82, "bfcl": 0.40, "ruler": 0.25},
    "expert:tool": {"humaneval": 0.52, "bfcl": 0.75, "ruler": 0.21},
    "expert:memory": {"humaneval": 0.44, "bfcl": 0.39, "ruler": 0.88},
    "merge": {"humaneval": 0.79, "bfcl": 0.71, "ruler": 0.86},
}
OWN = {"humaneval": "coder", "bfcl": "tool", "ruler": "memory"}


def modules(experts: Sequence[str], layers: int, kinds: Sequence[str] = KINDS) -> dict[str, ModuleOverlap]:
    """Made-up counts that belong together, and differ from layer to layer, from module to module, and by expert."""
    found = {}
    for kind, name in enumerate(kinds):
        places = (None,) if name in OUTSIDE else tuple(range(layers))
        elements = tuple(1_000 if "norm" in name else 1_000_000 + 250_000 * kind for _ in places)
        changed = {
            expert: tuple(
                count * (2 + kind % 11) * (5 + (place * 3 + kind) % 11) * (1 + number) // 1000
                for place, count in enumerate(elements)
            )
            for number, expert in enumerate(experts)
        }
        columns = [*zip(*changed.values(), strict=True)]
        several = tuple(
            sorted(column)[-2] // (2 + n % 3) if len(experts) > 1 else 0 for n, column in enumerate(columns)
        )
        anyone = tuple(
            min(count, max(*column, sum(column) - both * (len(experts) - 1)))
            for count, column, both in zip(elements, columns, several, strict=True)
        )
        found[name] = ModuleOverlap(layers=places, elements=elements, anyone=anyone, several=several, experts=changed)
    return found


def with_modules(made: Sample, layers: int = 28, kinds: Sequence[str] = KINDS) -> Sample:
    """The same with statistics by module."""
    names = [expert.name for expert in made.report.experts]
    overlap = made.report.overlap.model_copy(update={"modules": modules(names, layers, kinds)})
    return Sample(made.report.model_copy(update={"overlap": overlap}), made.lock)


def evaluation(
    scores: Mapping[str, Mapping[str, float]] = SCORES,
    own: Mapping[str, str] = OWN,
    *,
    less: Sequence[str] = (),
    gate: bool = True,
    **update: object,
) -> ReportedEvaluation:
    """Scores, with a standard error and a gate on the first task."""
    tasks = list(dict.fromkeys(task for each in scores.values() for task in each))
    bars = [
        ReportedBar(task=task, demand=f"0.95 of {own[task]}", least=0.5, found=scores["merge"][task], met=True)
        for task in tasks[:1]
        if task in own
    ]
    return ReportedEvaluation(
        harness="lm-evaluation-harness 0.4.9",
        date="2026-11-23",
        settings={"batch": "8"},
        tasks={
            task: ReportedTask(
                metric="exact match",
                higher_is_better=task not in less,
                expert=own.get(task),
                details={"examples in the prompt": "5"},
            )
            for task in tasks
        },
        models={
            model: {task: ReportedScore(value=value, stderr=0.012, samples=164) for task, value in each.items()}
            for model, each in scores.items()
        },
        gate=tuple(bars) if gate else (),
    ).model_copy(update=update)


def with_scores(made: Sample | None = None, found: ReportedEvaluation | None = None) -> Sample:
    """The same with task scores."""
    made = made or sample()
    return Sample(made.report.model_copy(update={"evaluation": found or evaluation()}), made.lock)
