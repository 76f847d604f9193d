"""Whether all that is to be read fits a model whose positions end, before any of its weights are loaded."""

from collections.abc import Iterator, Mapping, Sequence

from ramekin.arm.answering import SHORTER, read_with
from ramekin.arm.reading import Material
from ramekin.arm.roles.finding import Traced
from ramekin.errors import IncompatibleError, Problem
from ramekin.text import printable


def see_that_all_fit(materials: Mapping[str, Material], positions: int | None) -> None:
    """See that the longest run of each kind fits, and the longest prompt with its answer.

    Args:
        materials: What is read, by benchmark.
        positions: How many tokens the models can read; None where that does not end.

    Raises:
        IncompatibleError: Something is longer; the problems of all benchmarks at once.
    """
    problems = [] if positions is None else [*_problems(materials, positions)]
    if problems:
        raise IncompatibleError(problems=problems)


def _problems(materials: Mapping[str, Material], positions: int) -> Iterator[Problem]:
    for name, material in materials.items():
        calibration = [*material.role.trajectories, *(material.said.trajectories if material.said else ())]
        dev = [run for role in (material.dev, material.kept) if role for run in role.trajectories]
        used = "calibration" if material.held_out else "dev"
        # The last token of a development run is told, not read.
        for use, runs, told in (("calibration", calibration, 0), (used, dev, 1)):
            name_of, tokens = _longest(runs)
            if tokens - told > positions:
                yield Problem(
                    f"`benchmarks.{name}.{use}`: `{printable(name_of, 40)}` takes {tokens:,} tokens, and the models "
                    f"have {positions:,} positions",
                    f"set `max_tokens: {positions}` for the benchmark",
                )
        longest = max((read_with(prompt, material.longest) for prompt in material.prompts), default=0)
        if longest > positions:
            yield Problem(
                f"`benchmarks.{name}`: a prompt with an answer of {material.longest} tokens takes {longest:,}, and the "
                f"models have {positions:,} positions",
                SHORTER,
            )


def _longest(runs: Sequence[Traced]) -> tuple[str, int]:
    """The longest run's name, and how much of it is read."""
    run = max(runs, key=lambda run: len(run.ids), default=None)
    return (run.name, len(run.ids)) if run else ("", 0)
