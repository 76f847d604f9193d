"""What `ramekin init` writes: a manifest to start from, and the workflows that plan, run and watch it."""

import os
from pathlib import Path
from typing import Final

from ramekin import __version__
from ramekin.errors import Problem, UsageError
from ramekin.templating import template_root
from ramekin.text import printable

_FILES: Final = (
    Path("merge.yaml"),
    Path(".github/workflows/ramekin-plan.yml"),
    Path(".github/workflows/ramekin-run.yml"),
    Path(".github/workflows/ramekin-update.yml"),
)
# Not a template language: the workflows are full of `${{ }}`, and are checked by their linters as they stand.
_VERSION: Final = "@VERSION@"


def write_starter(directory: Path) -> tuple[Path, ...]:
    """Write the starter files into `directory`, which is made if need be, and return their paths.

    The workflows install this very version of ramekin.

    Raises:
        UsageError: One of the files is there already, or the directory cannot be written to. Nothing is left behind.
    """
    source = template_root() / "init"
    texts = {directory / name: (source / name).read_text("utf-8").replace(_VERSION, __version__) for name in _FILES}
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
