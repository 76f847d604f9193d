"""A commit's tree as GitHub packs it, unpacked so that a hostile one does no harm."""

import io
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

import requests

from ramekin.github.refusals import GitHubError

_MOST_PACKED: Final = 256 << 20
_MOST_BYTES: Final = 1 << 30
_MOST_ENTRIES: Final = 100_000
_TIMEOUT: Final = 30.0
_HINT: Final = "keep manifests in a repository of their own"


def unpack(url: str, root: Path, *, secure: bool) -> Path:
    """Fetch an archive and unpack it.

    Files are written one by one below `root`, whatever they are called. Links are made when all files are there, so
    that no file is written through one; those that lead out of the archive are left out, as is what is neither.

    Args:
        url: Where it is. The address itself says who may have it: no token goes there.
        root: Directory to make; what is there is replaced.
        secure: Whether to accept https alone, also from redirections.

    Raises:
        GitHubError: It is too large, or no archive.
        requests.RequestException: It could not be fetched.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with requests.Session() as session:
        session.auth = _unchanged  # or a .netrc would be sent to it
        if secure:
            session.mount("http://", _Refusing())
        with session.get(url, stream=True, timeout=_TIMEOUT) as response:
            if 400 <= response.status_code < 500:
                what = f"GitHub answered {response.status_code} for the archive of the commit"
                raise GitHubError(what, "start the job again")
            response.raise_for_status()
            try:
                _extract(_Bounded(response), root)
            except (tarfile.TarError, EOFError, OSError) as error:
                if isinstance(error, requests.RequestException):
                    raise
                what = f"the archive of the commit cannot be unpacked ({type(error).__name__})"
                raise GitHubError(what, "start the job again") from error
    return root


class _Refusing(requests.adapters.HTTPAdapter):
    """Sends nothing."""

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise requests.exceptions.InvalidSchema("an archive is fetched over https alone")


class _Bounded(io.RawIOBase):
    """An answer's body as a file that ends in an error if it is too long."""

    def __init__(self, response: requests.Response) -> None:
        self._pieces = response.iter_content(1 << 16)
        self._rest = b""
        self._left = _MOST_PACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        self._left -= count
        if self._left < 0:
            raise GitHubError(f"the repository's archive is larger than {_MOST_PACKED >> 20} MiB", _HINT)
        return count


def _extract(stream: io.RawIOBase, root: Path) -> None:
    links: list[tuple[Path, str]] = []
    left = _MOST_BYTES
    with tarfile.open(fileobj=cast("Any", io.BufferedReader(stream)), mode="r|*") as archive:
        for count, member in enumerate(archive, 1):
            left -= member.size
            if count > _MOST_ENTRIES or left < 0:
                raise GitHubError("the repository has more or larger files than one with manifests has", _HINT)
            path = _inner(member.name)
            if path is None:
                continue
            if member.issym():
                links.append((root / path, member.linkname))
            elif member.isreg():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                with (root / path).open("wb") as file:
                    shutil.copyfileobj(content or io.BytesIO(), file)
    _link(links, root)


def _inner(name: str) -> PurePosixPath | None:
    """A path without the directory that holds everything; None for that directory, and for what leaves it."""
    parts = PurePosixPath(name).parts
    inner = PurePosixPath(*parts[1:])
    return None if len(parts) < 2 or inner.is_absolute() or ".." in parts or parts[0] == "/" else inner


def _link(links: list[tuple[Path, str]], root: Path) -> None:
    for path, _ in links:
        with suppress(OSError):  # a file is in its place: then the link is not made either
            path.parent.mkdir(parents=True, exist_ok=True)
    made = []
    for path, target in links:
        if _is_plain(path.parent, root):
            with suppress(OSError, ValueError):  # something is there, or that is no path
                path.symlink_to(target)
                made.append(path)
    inside = root.resolve()
    # All are there before the first is followed: one may lead on to another.
    bad = [path for path in made if not _leads_into(path, inside)]
    for path in bad:
        path.unlink()


def _is_plain(directory: Path, root: Path) -> bool:
    """Whether there is no link on the way to a directory."""
    return directory.resolve() == root.resolve() / directory.relative_to(root)


def _leads_into(path: Path, directory: Path) -> bool:
    try:
        # The second asks the system: for Python, `file/..` leads somewhere.
        return path.resolve(strict=True).is_relative_to(directory) and path.exists()
    except (OSError, RuntimeError):  # it leads nowhere, or to itself
        return False


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
