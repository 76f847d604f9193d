"""A manifest's benchmarks on this machine: recorded runs fetched, checked and read, before anything heavy is."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.errors import UsageError
from ramekin.fetch import fetch_data, fetch_sources
from ramekin.lock.model import Lock
from ramekin.manifest.reading import LoadedManifest
from ramekin.methods import Choosing
from ramekin.plan.disk import WEIGHTS
from ramekin.room import enough_to_load
from ramekin.sources import Sources
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.arm.reading import Material


def fetch_benchmarks(bench: Workbench, loaded: LoadedManifest, lock: Lock, sources: Sources) -> dict[str, Path]:
    """Every pinned file of recorded runs, by role.

    Raises:
        UsageError: The manifest has no benchmarks.
        SourceError: A file cannot be had.
        DamagedError: A file is not what the lock says.
    """
    if not loaded.manifest.benchmarks:
        raise UsageError(
            f"{loaded.path}: there are no `benchmarks`", "write what the merge is to be good at: docs/arm.md shows how"
        )
    return fetch_data(lock, loaded.manifest, sources, bench.store, lambda: bench.client)


def read_benchmarks(
    bench: Workbench, loaded: LoadedManifest, lock: Lock, sources: Sources, data: Mapping[str, Path]
) -> "dict[str, Material]":
    """Read the recorded runs as a merge will, which takes the base's tokenizer and no weights.

    So what is wrong with them is told before gigabytes are fetched, and before a GPU waits.

    Raises:
        DamagedError: A file is not what it should be, a role is not found, or runs are not kept apart.
        IncompatibleError: The tokenizer or the chat template cannot be worked with.
    """
    alone = lock.model_copy(update={"experts": {}})
    fetched = fetch_sources(alone, loaded.manifest, sources, bench.store, lambda: bench.client, leave=_is_heavy)
    files = {name: path for name, path in fetched.files["base"].items() if not _is_heavy(name)}
    with enough_to_load():
        from ramekin.arm.hosting import assembled, load_tokenizer
        from ramekin.arm.reading import read_materials

        with assembled(files) as directory:
            tokenizer = load_tokenizer(directory)
    method = loaded.manifest.method
    asked = any(benchmark.evaluate for benchmark in loaded.manifest.benchmarks.values())
    develop = isinstance(method, Choosing) and method.develops(asked=asked)
    keep = isinstance(method, Choosing) and method.keeps_apart
    return read_materials(loaded.manifest, data, tokenizer, develop=develop, keep=keep)


def _is_heavy(name: str) -> bool:
    return name.endswith(WEIGHTS)
