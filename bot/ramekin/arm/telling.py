"""What the log of a merge tells of a choice and of a transplantation, a line each, from what the report has."""

from collections.abc import Iterator
from typing import Final

from ramekin.arm.repair import LIKELIHOOD_GAP, SCORE_GAP
from ramekin.choice import ENOUGH, ReportedActivation, ReportedComparison, ReportedSample
from ramekin.text import printable

_RULES: Final = {
    "scores": f"by scores, where the backbone loses over {SCORE_GAP:.0%} of its expert's",
    "likelihood": f"by likelihood, where the backbone needs over {LIKELIHOOD_GAP:g} nats a token more than its expert",
    "list": "as `repair` lists them",
    "all": "all of them, as `repair` says",
    "none": "none, as `repair` says",
}
_NAME: Final = 80
_MOST_PIECES: Final = 9
_INSIDE, _AROUND = 200, 80


def told(comparison: ReportedComparison, activation: ReportedActivation | None) -> Iterator[str]:
    """What was chosen and why, which benchmarks are weak and by what rule, what they get, and samples of the runs.

    Args:
        comparison: The choice. Its samples are those that may be shown.
        activation: What ARM did; None for other methods.
    """
    lead = "" if comparison.margin is None else f", {comparison.margin:.4g} ahead"
    what = "backbone" if activation else "chosen"
    yield f"{what}: {printable(comparison.selected, _NAME)}, by {comparison.decided_by}{lead}"
    yield from told_measure(comparison.watched)
    if activation:
        yield from _repaired(activation)
    yield from told_halves(comparison)
    for sample in comparison.samples:
        yield _shown(sample)


def _repaired(activation: ReportedActivation) -> Iterator[str]:
    """The rule that made benchmarks weak, always; and of each of them how large its set is."""
    gaps = "".join(f", {name} {gap:.4f}" for name, gap in activation.gaps.items())
    yield f"repaired: {_RULES.get(activation.rule, activation.rule)}{f' (gaps: {gaps[2:]})' if gaps else ''}"
    for name, found in activation.transplanted.items():
        share = f"{found.neurons:,} of {activation.neurons:,} neurons ({found.fraction:.2%})"
        kept = f"{found.protected:,} of its {found.salient:,} are needed by others"
        applied = "" if found.applied == found.neurons else f", {found.applied:,} of them put in"
        yield f"repaired: {name} gets {share} of {found.expert}{applied}; {kept}"
    if not activation.transplanted:
        yield "repaired: nothing, no benchmark is weak"


def told_measure(watched: str) -> Iterator[str]:
    """How neurons were watched, where it is not the paper's way."""
    if watched:
        yield f"neurons are told {watched}"


def told_halves(comparison: ReportedComparison) -> Iterator[str]:
    """Where more recorded runs would be worth it, because two halves of them do not name the same neurons."""
    for name, runs in comparison.calibration.items():
        if runs.split_half is not None and runs.split_half < ENOUGH:
            agree = (
                f"two halves of its {runs.trajectories} runs agree on {runs.split_half:.3f} of {runs.expert}'s neurons"
            )
            yield f"{name}: {agree}; record more, until it is {ENOUGH:g}"


def _shown(sample: ReportedSample) -> str:
    """A trajectory in part on one line, the role between brackets."""
    parts = [
        f"⟦{printable(text, _INSIDE)}⟧" if inside else printable(text, _AROUND)
        for text, inside in sample.pieces[:_MOST_PIECES]
    ]
    end = " […]" if len(sample.pieces) > _MOST_PIECES else ""
    return f"{sample.benchmark}, run {printable(sample.trajectory, _NAME)}: {''.join(parts)}{end}"
