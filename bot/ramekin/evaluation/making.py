"""Who measures a manifest's tasks, made ready before the work: with what it may see, and where it keeps scores."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ramekin.evaluation.children import Surroundings, Tell
from ramekin.evaluation.command import CommandHarness
from ramekin.evaluation.evaluator import Evaluator, Harness
from ramekin.evaluation.harness import LmEvaluation, require_harness
from ramekin.evaluation.measurements import ScoreStore
from ramekin.evaluation.session import Session
from ramekin.lock.model import Lock
from ramekin.manifest.reading import LoadedManifest
from ramekin.plan.layout import Layout
from ramekin.workbench import Workbench

_QUIET: Final[Mapping[str, str]] = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_TRUST_REMOTE_CODE": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
_CODE: Final = "HF_ALLOW_CODE_EVAL"
"""What the library that runs code for tasks wants to see set to `1`; it says as much as the manifest's own key."""


@contextmanager
def evaluating(
    bench: Workbench, loaded: LoadedManifest, lock: Lock, layout: Layout, device: str
) -> Iterator[Evaluator | None]:
    """What measures the tasks of a manifest, checked, for as long as the block lasts; None if it has none.

    Args:
        bench: What to work with.
        loaded: The manifest.
        lock: Its lock.
        layout: What is merged.
        device: Where models run: `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: The harness is not installed, or there is no such task or program.
        EvaluationError: The harness does not work here.
    """
    evaluate = loaded.manifest.evaluate
    if evaluate is None:
        yield None
        return
    if evaluate.command is None:
        require_harness(loaded)
    with tempfile.TemporaryDirectory(prefix="ramekin-evaluation-") as empty:
        store = ScoreStore(bench.environment.measured)
        surroundings = _surroundings(bench, loaded, Path(empty))
        if evaluate.command is not None:
            command = CommandHarness(evaluate, surroundings, store, bench.terminal.note)
            yield _checked(bench, loaded, lock, layout, command)
            return
        unsafe = evaluate.confirm_run_unsafe_code or surroundings.environment.get(_CODE) == "1"
        around = surroundings.given(**_QUIET, **({_CODE: "1"} if unsafe else {}))
        if bench.environment.offline:
            around = around.given(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        with Session(around, _told(bench)) as session:
            harness = LmEvaluation(
                loaded, evaluate, around, store, session, bench.terminal.note, layout.total_size, device, unsafe
            )
            yield _checked(bench, loaded, lock, layout, harness)


def _checked(bench: Workbench, loaded: LoadedManifest, lock: Lock, layout: Layout, harness: Harness) -> Evaluator:
    harness.check()
    return Evaluator(loaded, lock, layout, harness, bench.terminal)


def _surroundings(bench: Workbench, loaded: LoadedManifest, empty: Path) -> Surroundings:
    """The manifest's directory, and an environment without any token."""
    from ramekin.environment import tokenless_environment

    return Surroundings(
        loaded.directory.absolute(), tokenless_environment(bench.environment.secrets, empty / "no-token")
    )


def _told(bench: Workbench) -> Tell:
    """Of what the harness and its libraries print, all that they do if asked for, else how far they are."""
    if bench.terminal.verbosity > 0:
        return bench.terminal.note

    def tell(line: str) -> None:
        if "%|" in line and "100%|" not in line:
            bench.terminal.note(line)

    return tell
