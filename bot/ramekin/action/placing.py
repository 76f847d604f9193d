"""Where in a manifest a problem stands, so that it is shown on that line of the pull request."""

from collections.abc import Iterator
from pathlib import Path

from ramekin.errors import Problem, PublishError, RamekinError
from ramekin.lock.file import lock_path
from ramekin.manifest.reading import LoadedManifest


def placed(error: RamekinError, loaded: LoadedManifest) -> RamekinError:
    """The same error, whose problems have a line of the manifest each, wherever it can be told which.

    Args:
        error: What came up.
        loaded: The manifest that it came up with.
    """
    if not any(problem.path is None for problem in error.problems):
        return error
    starts = list(_starts(loaded, published=isinstance(error, PublishError)))
    error.problems = tuple(_placed(problem, loaded.path, starts) for problem in error.problems)
    return error


def lines_of(loaded: LoadedManifest) -> dict[str, int]:
    """Line of the base and of every expert, by the names that a plan has for them."""
    return {role.removeprefix("expert:"): loaded.line(_key(role)) for role in loaded.manifest.sources}


def _placed(problem: Problem, manifest: Path, starts: list[tuple[str, int]]) -> Problem:
    if problem.path is not None:
        return problem
    lock = lock_path(manifest)
    if problem.what.startswith(f"{lock}: "):
        return Problem(problem.what.removeprefix(f"{lock}: "), problem.hint, lock)
    line = next((line for start, line in starts if problem.what.startswith(start)), None)
    return Problem(problem.what, problem.hint, manifest, line)


def _starts(loaded: LoadedManifest, *, published: bool) -> Iterator[tuple[str, int]]:
    """What a problem's sentence begins with, and the line of what it is about.

    Args:
        loaded: The manifest.
        published: Whether it is about the target rather than about a source of the same name.
    """
    manifest = loaded.manifest
    targets = [(f"{manifest.output.repo}:", loaded.line("output.repo"))]
    if manifest.output.supersedes:
        targets.append((f"{manifest.output.supersedes}:", loaded.line("output.supersedes")))
    if published:
        yield from targets
    for name, line in lines_of(loaded).items():
        yield f"{name}: ", line
    for role, source in {**manifest.sources, **manifest.data}.items():
        yield f"{source}:", loaded.line(_key(role))
        yield f"{source}/", loaded.line(_key(role))
        yield f"{source} ", loaded.line(_key(role))
    yield from targets


def _key(role: str) -> str:
    """The key of a manifest at which a source is named."""
    kind, _, name = role.partition(":")
    return {"expert": f"experts.{name}", "data": f"benchmarks.{name.replace(':', '.')}"}.get(kind, role)
