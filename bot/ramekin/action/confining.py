"""A stranger's manifest may name what is in its own repository, and nothing else on the machine that plans it."""

from collections.abc import Iterator
from pathlib import Path

from ramekin.action.manifests import inside, local_places
from ramekin.errors import ManifestError, Problem
from ramekin.lock.file import lock_path
from ramekin.manifest.reading import LoadedManifest
from ramekin.sources.local import local_path


def check_confined(workspace: Path, loaded: LoadedManifest) -> None:
    """Refuse to look at what lies outside of a repository: by its path, or where a link leads.

    Args:
        workspace: The repository's root, an absolute path.
        loaded: A manifest below it.

    Raises:
        ManifestError: It, its lock, or something local that it names leads out; with everything that does.
    """
    hint = "name a file or directory of this repository"
    problems = [
        Problem(f"`{key}` leads out of the repository", hint, loaded.path, loaded.line(key))
        for key, name in local_places(loaded.manifest)
        if not all(inside(workspace, path) for path in _all(local_path(name, loaded.directory)))
    ]
    lock = lock_path(loaded.path)
    if not inside(workspace, Path.cwd() / lock):
        problems.append(Problem("the lock leads out of the repository", "commit it as a plain file", lock))
    if problems:
        raise ManifestError(problems=problems)


def _all(place: Path) -> Iterator[Path]:
    """A place, and what would be read of it if it is a checkpoint."""
    yield place
    yield from place.glob("*")
    yield from place.glob("*/*.jinja")
