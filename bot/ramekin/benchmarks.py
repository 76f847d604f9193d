"""A manifest's benchmarks on this machine: recorded runs fetched, checked and read, before anything heavy is."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramekin.assembling import assembled
from ramekin.errors import UsageError
from ramekin.fetch import fetch_data, fetch_sources
from ramekin.lock.model import Lock
from ramekin.manifest.benchmarks import Benchmark
from ramekin.manifest.reading import LoadedManifest
from ramekin.methods import Choosing, Method
from ramekin.plan.disk import WEIGHTS
from ramekin.room import enough_to_load
from ramekin.sources import Sources
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.arm.reading import Inspected, Material


def read_benchmarks(
    bench: Workbench, loaded: LoadedManifest, lock: Lock, sources: Sources, method: Method, *, everything: bool = False
) -> "dict[str, Material]":
    """Fetch a manifest's recorded runs and read them, which takes the base's tokenizer and no weights.

    So what is wrong with them is told before gigabytes are fetched, and before a GPU waits.

    Args:
        bench: What to work with.
        loaded: The manifest.
        lock: Its lock.
        sources: Where the pinned files are.
        method: For what they are read: the manifest's, or another one that chooses.
        everything: Whether candidates are only to be shown: nothing is kept for the end then, and their likelihood is
            shown, too, where nothing is decided by it.

    Raises:
        UsageError: The manifest has no benchmarks.
        SourceError: A file cannot be had.
        DamagedError: A file is not what it should be, a role is not found, or runs are not kept apart; or the method
            watches neurons where no token of a role is, or by what cannot be told from these runs.
        IncompatibleError: The tokenizer or the chat template cannot be worked with.
    """
    manifest = loaded.manifest
    data, tokenizer = _fetched(bench, loaded, lock, sources)
    from ramekin.arm.measure import Measure, as_watched
    from ramekin.arm.reading import read_materials

    develop = isinstance(method, Choosing) and develops(method, manifest.benchmarks)
    keep = isinstance(method, Choosing) and method.keeps_apart and not everything
    found = read_materials(manifest, data, tokenizer, develop=develop, keep=keep, show=everything)
    return as_watched(found, Measure.of(method))


def inspect_benchmarks(bench: Workbench, loaded: LoadedManifest, lock: Lock, sources: Sources) -> "Inspected":
    """Read a manifest's recorded runs as far as that can be done, to see what is found in them.

    Raises:
        RamekinError: As `read_benchmarks`, but for what is wrong with roles and runs.
    """
    manifest, method = loaded.manifest, loaded.manifest.method
    data, tokenizer = _fetched(bench, loaded, lock, sources)
    from ramekin.arm.reading import inspect_materials

    develop = isinstance(method, Choosing) and develops(method, manifest.benchmarks)
    keep = isinstance(method, Choosing) and method.keeps_apart
    return inspect_materials(manifest, data, tokenizer, develop=develop, keep=keep)


def _fetched(bench: Workbench, loaded: LoadedManifest, lock: Lock, sources: Sources) -> tuple[Mapping[str, Path], Any]:
    """Recorded runs by their role in the lock, and the base's tokenizer."""
    manifest = loaded.manifest
    if not manifest.benchmarks:
        raise UsageError(
            f"{loaded.path}: there are no `benchmarks`", "write what the merge is to be good at: docs/arm.md shows how"
        )
    data = fetch_data(lock, manifest, sources, bench.store, lambda: bench.client)
    alone = lock.model_copy(update={"experts": {}})
    fetched = fetch_sources(alone, manifest, sources, bench.store, lambda: bench.client, leave=_is_heavy)
    files = {name: path for name, path in fetched.files["base"].items() if not _is_heavy(name)}
    with enough_to_load():
        from ramekin.arm.hosting import load_tokenizer

        with assembled(files) as directory:
            return data, load_tokenizer(directory)


def develops(method: Choosing, benchmarks: Mapping[str, Benchmark]) -> bool:
    """Whether a method looks at development data of benchmarks: without any, runs are set aside for it."""
    asked = any(benchmark.evaluate for benchmark in benchmarks.values())
    scored = all({benchmark.expert, *method.candidates} <= {*benchmark.scores} for benchmark in benchmarks.values())
    return method.develops(asked=asked, scored=scored)


def _is_heavy(name: str) -> bool:
    return name.endswith(WEIGHTS)
