"""What `ramekin init` writes: a manifest to start from, and the workflows that plan, run and watch it."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ramekin.errors import Problem, UsageError
from ramekin.origin import Origin, find_origin
from ramekin.templating import template_root, workflow_environment
from ramekin.text import printable

_MANIFEST: Final = Path("merge.yaml")
_WORKFLOWS: Final = Path(".github/workflows")


@dataclass(frozen=True)
class Choices:
    """What the workflows are to do beside planning, running and looking for new weights.

    Attributes:
        comments: Obey comments on pull requests: one workflow more.
        dashboard: Keep an issue that lists all manifests.
        trusted_publishing: Publish without a stored token.
    """

    comments: bool = False
    dashboard: bool = False
    trusted_publishing: bool = False


def starter_files(choices: Choices, origin: Origin | None = None) -> dict[Path, str]:
    """The files by their paths, as `ramekin init` writes them.

    Args:
        choices: What the workflows do.
        origin: What they pin; this very ramekin if left out.
    """
    root = template_root() / "init"
    environment = workflow_environment(root)
    values = asdict(choices) | {"action": (origin or find_origin()).action}
    names = ["plan", "run", "update", *(["comment"] if choices.comments else [])]
    paths = [_WORKFLOWS / f"ramekin-{name}.yml" for name in names]
    written = {path: environment.get_template(path.as_posix()).render(values) for path in paths}
    return {_MANIFEST: (root / _MANIFEST).read_text("utf-8")} | written


def write_starter(directory: Path, choices: Choices = Choices()) -> tuple[Path, ...]:
    """Write the starter files into `directory`, which is made if need be, and return their paths.

    Raises:
        UsageError: One of the files is there already, or the directory cannot be written to. Nothing is left behind.
    """
    texts = {directory / name: text for name, text in starter_files(choices).items()}
    taken = [path for path in texts if os.path.lexists(path)]
    if taken:
        hint = "move it away, or name another directory"
        raise UsageError(problems=[Problem(f"{printable(path, 200)} is there already", hint) for path in taken])
    made: list[Path] = []
    try:
        for path, text in texts.items():
            _make_directories(path.parent, made)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        _remove(made)
        what = f"{printable(error.filename or directory, 200)} cannot be written: {printable(error.strerror or error)}"
        raise UsageError(what, "name a directory that you may write to") from error
    return tuple(texts)


def _make_directories(directory: Path, made: list[Path]) -> None:
    for parent in reversed([directory, *directory.parents]):
        if not parent.is_dir():
            parent.mkdir()
            made.append(parent)


def _remove(made: list[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
