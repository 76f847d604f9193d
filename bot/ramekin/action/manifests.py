"""Which manifests a job is about: all that its input names, and of those the ones that a pull request touches."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ramekin.errors import ManifestError, UsageError
from ramekin.lock.file import lock_path
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import read_manifest
from ramekin.text import printable

MOST: Final = 100
"""Manifests of one job."""

_GLOB: Final = frozenset("*?[")
_ENDINGS: Final = frozenset({".yaml", ".yml"})
_GIT: Final = ".git"


def find_manifests(workspace: Path, pattern: str) -> tuple[Path, ...]:
    """The manifests that a path or a glob names, relative to the workspace, sorted.

    A path is taken as it is; a glob (`merges/*.yaml`, `**/merge.yaml`) finds files that end in `.yaml` or `.yml`. What
    leads out of the workspace, by a link too, is not found.

    Raises:
        UsageError: There are none, or far too many.
    """
    if inside(workspace, Path(pattern)) and (workspace / pattern).is_file():
        return (Path(os.path.normpath(pattern)),)
    try:
        found = [path for path in _globbed(workspace, pattern) if inside(workspace, path)]
    except (ValueError, NotImplementedError, OSError) as error:
        what = f"the input `manifest` is `{printable(pattern)}`, which is no path and no glob"
        raise UsageError(what, "write a path such as `merge.yaml`, or a glob such as `merges/*.yaml`") from error
    if not found:
        what = f"the input `manifest` is `{printable(pattern)}`, and there is no such file in the checkout"
        raise UsageError(what, "check out the repository in a step before, and name the manifest relative to its root")
    if len(found) > MOST:
        what = f"the input `manifest` is `{printable(pattern)}`, which names {len(found)} manifests"
        raise UsageError(what, f"divide them among several jobs of at most {MOST}")
    return tuple(sorted(found))


def touched(workspace: Path, manifests: Iterable[Path], files: Iterable[str] | None) -> tuple[Path, ...]:
    """Those manifests that a change of some files is about.

    Args:
        workspace: Where they are.
        manifests: The manifests.
        files: Paths of the files that were changed; None where that cannot be told, and any may have been.
    """
    if files is None:
        return tuple(manifests)
    changed = {os.path.normpath(file) for file in files}
    return tuple(path for path in manifests if any(_is_at(places, changed) for places in _places(workspace, path)))


def inside(workspace: Path, path: Path) -> bool:
    """Whether a path, relative to the workspace, stays in it wherever its links lead, and out of git's own files."""
    try:
        whole = (workspace / path).resolve()
        parts = whole.relative_to(workspace.resolve()).parts
    except (ValueError, OSError, RuntimeError):
        return False
    return _GIT not in parts


def local_places(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Everything local that a manifest names, with the key that names it."""
    for role, source in manifest.sources.items():
        if source.path is not None:
            yield role.replace("expert:", "experts."), source.path
    for role, reference in manifest.data.items():
        if reference.repo is None:
            _, name, use = role.split(":", 2)
            yield f"benchmarks.{name}.{use}", reference.file
    if manifest.card.template is not None:
        yield "card.template", manifest.card.template


def _globbed(workspace: Path, pattern: str) -> list[Path]:
    if not _GLOB & set(pattern):
        return []
    paths = (path.relative_to(workspace) for path in workspace.glob(pattern))
    return [path for path in paths if path.suffix in _ENDINGS and (workspace / path).is_file()]


def _places(workspace: Path, manifest: Path) -> Iterator[str]:
    """Files and directories whose content counts for a manifest, relative to the workspace."""
    yield from _named(workspace, manifest)
    yield from _named(workspace, lock_path(manifest))
    try:
        loaded = read_manifest(workspace / manifest)
    except ManifestError:
        return  # it says nothing, and is planned where it was changed itself
    for _, name in local_places(loaded.manifest):
        yield from _named(workspace, manifest.parent / name)


def _named(workspace: Path, path: Path) -> Iterator[str]:
    """A path as it is written, and where it leads."""
    yield os.path.normpath(path)
    try:
        whole = (workspace / path).resolve()
        if whole.is_relative_to(root := workspace.resolve()):
            yield str(whole.relative_to(root))
    except (OSError, RuntimeError):
        return


def _is_at(place: str, changed: Iterable[str]) -> bool:
    return any(place in {file, os.curdir} or file.startswith(f"{place}{os.sep}") for file in changed)
