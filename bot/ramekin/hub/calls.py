"""A request as handlers see it: who asks, about which repository, with what; and answers in the Hub's manner."""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, Response

from ramekin.hub import access
from ramekin.hub.access import Access, User
from ramekin.hub.faults import FaultPlan
from ramekin.hub.machines import Machines
from ramekin.hub.records import Commit, RepoType
from ramekin.hub.refusal import Moved, Refusal, repo_not_found
from ramekin.hub.repository import Repository
from ramekin.hub.store import Store
from ramekin.hub.traffic import Log, Meter, RateLimit
from ramekin.hub.trust import Trust

MiB: Final = 1 << 20


@dataclass(frozen=True)
class Options:
    """What can be chosen about a Hub.

    Attributes:
        xet: Offer xet storage for uploads and downloads, as the Hub does; otherwise large files go by LFS.
        multipart_above: Large files above this many bytes are uploaded in parts.
        part_size: Bytes of a part.
        page_size: Files, or commits, per page of a listing.
        rate_limit: Requests per window and token, if they are to be limited.
        jobs: Run the jobs that users start, as processes of this machine. Whoever has a token can then run anything.
        control_key: What the control routes ask for; made up if none is given.
    """

    xet: bool = False
    multipart_above: int = 5000 * MiB
    part_size: int = 64 * MiB
    page_size: int = 1000
    rate_limit: RateLimit | None = None
    jobs: bool = False
    control_key: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


@dataclass(frozen=True)
class Parts:
    """What a Hub is made of; every handler gets it with the call."""

    store: Store
    access: Access
    options: Options
    faults: FaultPlan
    log: Log
    meter: Meter
    trust: Trust
    machines: Machines


@dataclass(frozen=True)
class Upload:
    """A body that was too large for memory: a draft of the blob store and its digest."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        hub: The Hub's parts.
        method: HTTP method.
        path: The path as it was sent, for redirects and links.
        base: Scheme and host that the client used. The client refuses links to any other.
        kind: Type of the repositories that the route is about.
        params: Parts of the path, decoded.
        query: The query.
        headers: The headers.
        viewer: Who asks; None if anonymous.
        body: The body, unless the route streams it into `upload`.
        upload: The streamed body.
    """

    hub: Parts
    method: str
    path: str
    base: str
    kind: RepoType
    params: Mapping[str, str]
    query: QueryParams
    headers: Headers
    viewer: User | None
    body: bytes = b""
    upload: Upload | None = None

    @property
    def store(self) -> Store:
        """The Hub's store."""
        return self.hub.store

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object.

        Raises:
            Refusal: 400 for anything else.
        """
        try:
            value = json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise Refusal(400, f"The body is not JSON: {error}") from error
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refusal(400, "The body is not a JSON object")
        return value

    def text(self, fields: Mapping[str, Any], key: str, default: str | None = None) -> str:
        """A string of a JSON object.

        Raises:
            Refusal: 400 if it is something else, or absent without a default.
        """
        value = fields.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise Refusal(400, f'"{key}" must be a string')
        return value

    def flag(self, name: str) -> bool:
        """A switch in the query."""
        return self.query.get(name, "").lower() in ("1", "true")

    @property
    def repo_id(self) -> str:
        """The id in the path."""
        return f"{self.params['ns']}/{self.params['name']}"

    def repository(self) -> Repository:
        """The repository in the path, if the viewer may know of it.

        Raises:
            Refusal: RepoNotFound, or 403 if it was taken down.
            Moved: It has another id now.
        """
        return self.open(self.repo_id, self.kind)

    def open(self, repo_id: str, kind: RepoType) -> Repository:
        """A repository by id, under the same conditions."""
        try:
            found = self.store.find(repo_id, kind)
        except Moved as moved:
            goal = self.store.find(moved.new, kind)
            if goal is not None and access.sees(self.viewer, goal.info):
                raise
            found = None
        if found is None:
            raise repo_not_found(anonymous=self.viewer is None)
        access.check_visible(self.viewer, found.info)
        return found

    def readable(self) -> Repository:
        """The repository in the path, if the viewer may read its files."""
        repository = self.repository()
        access.check_files(self.viewer, repository.info)
        return repository

    def writable(self) -> Repository:
        """The repository in the path, if the viewer may change it."""
        repository = self.repository()
        access.check_write(self.viewer, repository.info)
        return repository

    def commit(self, repository: Repository) -> Commit:
        """The commit that the path's `rev` names, or the one of the default branch."""
        return repository.resolve(self.params.get("rev", "main"))


Handler = Callable[[Call], Response]


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JSONResponse(value, status, dict(headers or {}))


def refusal(error: Refusal) -> Response:
    """A refusal as the client reads it: by headers first, which a HEAD has too."""
    message = re.sub(r"[^\x20-\x7e]", "?", error.message)
    headers = {**error.headers, "X-Error-Message": message}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.extra}, error.status, headers)


def paged(call: Call, rows: list[Any], size: int) -> tuple[list[Any], dict[str, str]]:
    """One page of a listing, and the Link header that leads to the next."""
    cursor = call.query.get("cursor", "0")
    start = int(cursor) if cursor.isdecimal() else 0
    end = start + size
    if end >= len(rows):
        return rows[start:], {}
    query = QueryParams(
        [*((key, value) for key, value in call.query.multi_items() if key != "cursor"), ("cursor", end)]
    )
    return rows[start:end], {"Link": f'<{call.base}{call.path}?{query}>; rel="next"'}
