"""The Hub as it is read: the calls that ramekin makes through `huggingface_hub`, with errors of our own.

The Hub's client retries some calls and not others; here all are, uniformly. Whatever writes is in
`ramekin.publish.writer`: planning and fetching cannot.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from huggingface_hub import (
    HfApi,
    get_session,
    get_token,
    hf_hub_url,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]
from huggingface_hub.utils.logging import set_verbosity_error

from ramekin import __version__
from ramekin.answers import NoAnswer, RepoEntry, RepoState
from ramekin.environment import Environment
from ramekin.errors import DamagedError, SourceError
from ramekin.patience import Patience
from ramekin.refusals import BUSY, Access, TransportError, asked_to_wait, reading, refuse
from ramekin.trust.bearers import Bearer, holder

_TIMEOUT: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""

T = TypeVar("T")


class HubClient:
    """The Hub at one endpoint, for reading.

    Args:
        environment: Says where it is.
        bearer: Knows which token to send; the one of the environment if left out.
    """

    def __init__(self, environment: Environment, bearer: Bearer | None = None) -> None:
        self._environment = environment
        self._bearer = bearer or holder(environment)
        self._patience = Patience(environment.retry_wait)
        if not environment.client_talks:
            # Its warnings name addresses that let whoever knows them upload, and repeat what our errors say.
            set_verbosity_error()  # type: ignore[no-untyped-call]
        self._api = HfApi(endpoint=environment.endpoint, library_name="ramekin", library_version=__version__)

    @property
    def api(self) -> HfApi:
        """The Hub's own client, with the token that is good now."""
        self._api.token = self._bearer.token()
        return self._api

    @property
    def access(self) -> Access:
        """What tells what to do where a request is refused."""
        return self._bearer.access

    @property
    def endpoint(self) -> str:
        """The Hub's address."""
        return self._environment.endpoint

    @property
    def offline(self) -> bool:
        """Whether nothing may be asked of the network."""
        return self._environment.offline

    def secrets(self) -> tuple[str, ...]:
        """Token values that no output may show; those of trusted publishing are hidden as they come."""
        known = (*self._environment.secrets, get_token())
        return tuple(dict.fromkeys(value for value in known if value))

    def state(self, repo: str, revision: str | None = None, *, dataset: bool = False) -> RepoState | None:
        """The repository at a revision, or None where it does not exist or may not be seen.

        Raises:
            SourceError: The revision does not exist, or the Hub cannot be asked.
        """
        with reading(repo, revision, self.access):
            try:
                # Not the whole record: it carries the card, and a hostile card breaks the client that parses it.
                info: Any = self.patiently(
                    lambda: (self.api.dataset_info if dataset else self.api.model_info)(
                        repo, revision=revision, expand=["sha", "private", "gated"]
                    )
                )
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
        if not info.sha:
            raise DamagedError(f"{repo}: the Hub names no commit for it", "try again later")
        return RepoState(info.id, info.sha, bool(info.private), bool(info.gated))

    def entries(self, repo: str, commit: str, *, dataset: bool = False) -> tuple[RepoEntry, ...]:
        """All files of a commit."""
        with reading(repo, commit, self.access):
            # Of all that is read here, the client repeats this itself.
            items = list(
                self.api.list_repo_tree(repo, revision=commit, recursive=True, repo_type=_type(dataset=dataset))
            )
        return tuple(
            RepoEntry(f.path, f.size, f.lfs.sha256 if f.lfs else None, None if f.lfs else f.blob_id)
            for f in items
            if isinstance(f, RepoFile)
        )

    def read(self, repo: str, commit: str, file: str, start: int, stop: int, *, dataset: bool = False) -> bytes:
        """Bytes `start` to `stop` of a file, fewer at its end; one range request."""
        if stop <= start:
            return b""

        def request() -> bytes:
            span = {"Range": f"bytes={start}-{stop - 1}"}
            with self._stream(repo, commit, file, span, dataset=dataset) as response:
                if response.status_code == 416:
                    return b""
                hf_raise_for_status(response)
                skip = 0 if response.status_code == 206 else start
                return _take(response.iter_bytes(1 << 16), skip, stop - start)

        with reading(f"{repo}/{file}", commit, self.access):
            return self.patiently(request)

    def read_if_present(self, repo: str, commit: str, file: str, limit: int, *, dataset: bool = False) -> bytes | None:
        """The first `limit` bytes of a file, or None where the commit has no such file."""
        try:
            return self.read(repo, commit, file, 0, limit, dataset=dataset)
        except SourceError as error:
            if isinstance(error.__cause__, RemoteEntryNotFoundError):
                return None
            raise

    @contextmanager
    def download(
        self, repo: str, commit: str, file: str, start: int, stop: int | None = None, *, dataset: bool = False
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Stream a file from byte `start`; yields the offset the server really starts at, and the pieces.

        Args:
            repo: The repository.
            commit: The commit.
            file: The file's path.
            start: Where to start.
            stop: Where to stop, at the file's end if None. A server that does not know ranges does not.
            dataset: Whether the repository is a dataset.

        Raises:
            NoAnswer: The connection broke, or the Hub is busy; the rest may come the next time.
            SourceError: The file cannot be had.
        """
        headers = {"Range": f"bytes={start}-{stop - 1 if stop else ''}"} if start or stop else {}
        try:
            with self._stream(repo, commit, file, headers, dataset=dataset) as response:
                hf_raise_for_status(response)
                # As it comes: what would be waited for to fill a piece is lost when the connection breaks.
                yield (start if response.status_code == 206 else 0), response.iter_bytes()
        except HfHubHTTPError as error:
            if error.response.status_code in BUSY:
                raise no_answer(error) from error
            refuse(f"{repo}/{file}", commit, error, self.access)
        except OfflineModeIsEnabled as error:
            refuse(f"{repo}/{file}", commit, error, self.access)
        except (TransportError, ConnectionError, TimeoutError) as error:
            raise no_answer(error) from error

    @contextmanager
    def _stream(
        self, repo: str, commit: str, file: str, extra: dict[str, str], *, dataset: bool = False
    ) -> Iterator[Any]:
        if self._environment.offline:
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        url = hf_hub_url(repo, file, repo_type=_type(dataset=dataset), revision=commit, endpoint=self.endpoint)
        headers = build_hf_headers(token=self._bearer.token(), library_name="ramekin")
        headers |= {"Accept-Encoding": "identity"} | extra
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
            yield response

    def patience(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait before trying again: what the Hub has asked for, else twice as long each time."""
        return self._patience.until_next(attempt, asked)

    def pause(self, attempt: int, asked: float | None = None) -> None:
        """Wait that long."""
        self._patience.pause(attempt, asked)

    def patiently(self, call: Callable[[], T]) -> T:
        """Repeat a reading call while the Hub is busy or the network fails, waiting twice as long each time."""
        return self._patience.repeat(call)

    def committed(self, repo: str, commit: str, *, dataset: bool = False) -> str | None:
        """The day of a commit, as its author says, such as `2026-01-31`; None where the Hub does not tell."""
        path = f"{self.endpoint}/api/{'datasets' if dataset else 'models'}/{repo}/commits/{commit}"

        def request() -> Any:
            headers = build_hf_headers(token=self._bearer.token(), library_name="ramekin")
            answer = get_session().get(path, params={"limit": 1}, headers=headers, timeout=_TIMEOUT)
            hf_raise_for_status(answer)
            return answer.json()

        # Not the client's own method, which reads the whole history first.
        with reading(repo, commit, self.access):
            newest = self.patiently(request)[0]
            return str(newest["date"])[:10] if newest["id"] == commit else None

    def history(self, repo: str, revision: str | None, *, dataset: bool = False) -> frozenset[str]:
        """All commits that a revision has come from, itself included.

        Raises:
            SourceError: The Hub cannot be asked.
        """
        kind = _type(dataset=dataset)
        with reading(repo, revision, self.access):
            listed = self.patiently(lambda: self.api.list_repo_commits(repo, revision=revision, repo_type=kind))
            return frozenset(commit.commit_id for commit in listed)

    def open_pull_requests(self, repo: str, title: str) -> tuple[str, ...]:
        """Addresses of the repository's open pull requests with exactly this title."""
        with reading(repo, access=self.access):
            found = self.patiently(
                lambda: list(
                    self.api.get_repo_discussions(repo, discussion_type="pull_request", discussion_status="open")
                )
            )
        return tuple(str(d.url) for d in found if d.title == title)

    def tags(self, repo: str) -> dict[str, str]:
        """All tags with the commits they point to."""
        with reading(repo, access=self.access):
            refs = self.patiently(lambda: self.api.list_repo_refs(repo))
        return {tag.name: tag.target_commit for tag in refs.tags}


def _type(*, dataset: bool) -> str | None:
    return "dataset" if dataset else None


def _take(pieces: Iterator[bytes], skip: int, count: int) -> bytes:
    """`count` bytes after the first `skip`, without reading on."""
    taken = bytearray()
    for piece in pieces:
        taken += piece[skip:] if skip else piece
        skip = max(0, skip - len(piece))
        if len(taken) >= count:
            break
    return bytes(taken[:count])


def no_answer(error: Exception) -> NoAnswer:
    """What the Hub's client has met, for whoever decides whether to try again."""
    what = f"the Hub answered {error.response.status_code}" if isinstance(error, HfHubHTTPError) else str(error)
    return NoAnswer(what, asked_to_wait(error))
