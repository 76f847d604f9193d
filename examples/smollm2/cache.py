"""A stage's output folder, made once and used again while its inputs stay the same."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

STAMP = ".inputs.json"


def digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached(folder: Path, inputs: Mapping[str, object], make: Callable[[Path], object]) -> bool:
    """Fill `folder` by `make`, unless it was made from the same inputs. Returns whether it had to be made.

    `make` is given an empty folder, which is put in place once it is complete: a folder that is there is whole.
    """
    stamp = json.dumps(inputs, indent=1, sort_keys=True)
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == stamp:
        return False
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    (unfinished / STAMP).write_text(stamp)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return True
