"""Whether a merge can be used: its files, checked, are loaded in a process of its own that has nothing to lose."""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ramekin.assembling import assembled
from ramekin.checkpoint.inventory import read_inventory
from ramekin.checkpoint.selection import files_to_read
from ramekin.checkpoint.tensors import ITEM_SIZES, Inventory
from ramekin.environment import bare_environment
from ramekin.errors import DamagedError, IncompatibleError, RamekinError, ResourceError, UsageError
from ramekin.lock.file import read_lock
from ramekin.manifest.reading import read_manifest
from ramekin.report import LOCK_COPY, MANIFEST_COPY
from ramekin.room import check_room, memory_available
from ramekin.subject import Subject, at_hand
from ramekin.text import printable
from ramekin.verify.verdict import Trial
from ramekin.workbench import Workbench

_LIBRARIES: Final = 1 << 30
"""Bytes that the libraries take, and what a model of any size does with a few tokens."""
_LONGEST: Final = 3600.0
"""Seconds after which a model counts as one that does not load."""
_MOST_SHOWN: Final = 5
_WIDEST: Final = 4
_FLOAT32: Final = re.compile(rb'"(torch_)?dtype"\s*:\s*"(torch\.)?float32"')


def needed_to_load() -> None:
    """Find out before anything is asked of the Hub whether models can be loaded here.

    Raises:
        UsageError: They cannot.
    """
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"loading a model needs {name}", "install `ramekin[merge]`")


def try_out(bench: Workbench, subject: Subject) -> Trial:
    """Load a merge, whose files are those of its report, and let it answer once.

    Raises:
        SourceError: A file cannot be downloaded.
        ResourceError: There is not enough memory or disk.
        UsageError: A package is not installed that this model needs.
    """
    try:
        names = files_to_read(subject.report.output.files, "base", source=subject.name)
        files = at_hand(bench, subject, names)
        inventory = _inventory(files)
    except (DamagedError, IncompatibleError) as error:
        return Trial(tuple(problem.what for problem in error.problems))
    check_room((), _memory(inventory, files))
    bench.terminal.note(f"loading {printable(subject.name)}")
    found = _run(files)
    if found.get("memory"):
        raise ResourceError("there is not enough memory to load the model", "use a larger machine")
    if found.get("lacking"):
        raise UsageError(f"this model needs a package: {printable(found['lacking'], 300)}", "install it")
    problems = [printable(each, 300) for each in found["problems"]]
    if found["missing"] or found["unexpected"]:
        problems += _not_the_bases(bench, subject, inventory, found)
    return Trial(
        tuple(problems),
        found.get("architecture", ""),
        found.get("dtype", ""),
        found.get("parameters", 0),
        found.get("tokens", 0),
        tuple(found.get("logits", ())),
    )


def _inventory(files: Mapping[str, Path]) -> Inventory:
    """What the weights are, read within bounds before a library reads them.

    Raises:
        DamagedError: They are no safetensors files.
    """

    def read(name: str, start: int, stop: int) -> bytes:
        with files[name].open("rb") as file:
            file.seek(start)
            return file.read(max(0, stop - start))

    return read_inventory(read, {name: path.stat().st_size for name, path in files.items()})


def _memory(inventory: Inventory, files: Mapping[str, Path]) -> int:
    """Bytes that loading takes: a config may ask for wider elements than the files have."""
    path = files.get("config.json")
    least = _WIDEST if path and _FLOAT32.search(path.read_bytes()) else 1
    sizes = (tensor.numel * max(ITEM_SIZES[tensor.dtype], least) for tensor in inventory.tensors.values())
    return sum(sizes) + _LIBRARIES


def _run(files: Mapping[str, Path]) -> dict[str, Any]:
    """Try the model in a process of its own, in a directory of these files and no others."""
    with assembled(files) as directory, tempfile.TemporaryDirectory(prefix="ramekin-load-") as own:
        order = json.dumps({"directory": str(directory), "memory": memory_available()})
        try:
            done = subprocess.run(
                # Python is not to look for modules in the working directory.
                [sys.executable, "-P", "-m", "ramekin.verify.trial"],
                input=order,
                cwd=own,
                env=bare_environment(Path(own)),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _failed(f"it did not load within {_LONGEST / 60:.0f} minutes")
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    if done.returncode == -9 or "MemoryError" in done.stderr:
        return {"memory": True}
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    return _failed(f"the process that loads it ended with {done.returncode}: {last}")


def _failed(what: str) -> dict[str, Any]:
    return {"problems": [what], "missing": [], "unexpected": []}


def _not_the_bases(bench: Workbench, subject: Subject, inventory: Inventory, found: Mapping[str, Any]) -> list[str]:
    """What the library misses or does not know, unless the base has the very same tensors: then it is the base's."""
    try:
        base = _base_tensors(bench, subject)
    except RamekinError:
        base = None
    if base == {*inventory.tensors}:
        return []
    problems = []
    for kind, names in (("lacks", found["missing"]), ("has what the model does not know:", found["unexpected"])):
        shown = ", ".join(printable(name, 100) for name in names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        problems += [f"the checkpoint {kind} {shown}{more}"] if names else []
    return problems


def _base_tensors(bench: Workbench, subject: Subject) -> set[str]:
    """Names of the base's tensors, from its headers."""
    lock = read_lock(subject.directory / LOCK_COPY)
    assert lock is not None  # noqa: S101 - it is among the files that were checked
    base = read_manifest(subject.directory / MANIFEST_COPY).manifest.base
    read = bench.sources(Path.cwd()).open(base).reader(lock.base)
    return {*read_inventory(read, {name: file.size for name, file in lock.base.files.items()}).tensors}
