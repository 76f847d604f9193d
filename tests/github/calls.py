"""What every request to a loopback GitHub goes through: who asks, what they may do, and how answers are written."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.github.gitdir import GitError
from tests.github.rules import RefusedError
from tests.github.shapes import Shapes
from tests.github.state import LEVELS, ROLES, Issue, Repository, State, Token
from tests.leaks import WATCH

BY_INTEGRATION = "Resource not accessible by integration"
BY_PERSON = "Resource not accessible by personal access token"


@dataclass
class Call:
    """One request.

    Attributes:
        state: What there is.
        shapes: Writes records.
        token: Who asks; None for strangers.
        params: Parts of the path.
        query: What stands after the question mark.
        data: What was sent.
        url: Address of the request, without its query.
    """

    state: State
    shapes: Shapes
    token: Token | None
    params: dict[str, str]
    query: dict[str, str]
    data: dict[str, Any]
    url: str

    @property
    def login(self) -> str:
        if self.token is None:
            raise RefusedError(401, "Requires authentication")
        return self.token.user.login

    def repository(self, scope: str = "metadata", level: str = "read", *, role: str = "write") -> Repository:
        """The repository of the path, if the token may do that there.

        Args:
            scope: What a job needs a permission for; several with `|` between them, of which one suffices.
            level: Which.
            role: What a person needs for writing.
        """
        found = self.state.repository(f"{self.params['owner']}/{self.params['repo']}")
        if found is None or (found.private and not self._sees(found)):
            raise RefusedError(404, "Not Found")
        self.need(found, scope, level, role=role)
        return found

    def need(self, repository: Repository, scope: str, level: str, *, role: str = "write") -> None:
        """Refuse what the token may not do."""
        token = self.token
        if level == "read" and (not repository.private or scope == "metadata"):
            return
        if token is None:
            raise RefusedError(401, "Requires authentication")
        if token.permissions is None:
            needed = role if level == "write" else "read"
            if ROLES.index(repository.role(token.user.login)) < ROLES.index(needed):
                raise RefusedError(404 if repository.private else 403, BY_PERSON)
            return
        given = max(LEVELS.index(token.permissions.get(each, "none")) for each in scope.split("|"))
        if token.repository != repository.name or given < LEVELS.index(level):
            raise RefusedError(403, BY_INTEGRATION)

    def _sees(self, repository: Repository) -> bool:
        if self.token is None:
            return False
        if self.token.permissions is not None:
            return self.token.repository == repository.name
        return repository.role(self.token.user.login) != "none"

    def issue(self, repository: Repository, name: str = "number") -> Issue:
        found = repository.issues.get(int(self.params[name])) if self.params[name].isdigit() else None
        if found is None:
            raise RefusedError(404, "Not Found")
        return found

    def text(self, name: str, default: str | None = None) -> str:
        """A text that was sent."""
        value = self.data.get(name, default)
        if not isinstance(value, str):
            raise RefusedError(422, "Invalid request.", f'"{name}" wasn\'t supplied.')
        return value

    def page(self, found: Iterable[Any]) -> Response:
        """One page of a list, with the addresses of the others."""
        rows = list(found)
        size = min(max(int(self.query.get("per_page", "30")), 1), 100)
        page = max(int(self.query.get("page", "1")), 1)
        last = max(math.ceil(len(rows) / size), 1)
        rest = "&".join(f"{name}={value}" for name, value in self.query.items() if name != "page")
        links = {"next": page + 1, "last": last} if page < last else {}
        links |= {"prev": page - 1, "first": 1} if page > 1 else {}
        link = ", ".join(f'<{self.url}?{rest}&page={number}>; rel="{name}"' for name, number in links.items())
        shown = rows[(page - 1) * size : page * size]
        return JSONResponse(shown, headers={"Link": link} if link else {})


Handler = Callable[[Call], Any]


def endpoint(handler: Handler, status: int, state: State, shapes: Shapes) -> Callable[[Request], Any]:
    """What starlette calls for a route: one request at a time, since GitHub too is of one mind."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(partial(_answer, handler, status, state, shapes), request, body)

    return answer


def _answer(handler: Handler, status: int, state: State, shapes: Shapes, request: Request, body: bytes) -> Response:
    WATCH.text(f"sent to GitHub: {request.method} {request.url.path}", str(request.url), body)
    with state.lock:
        try:
            call = _call(state, shapes, request, body)
            result = handler(call)
        except RefusedError as error:
            answer = {"message": error.message, "documentation_url": "https://docs.github.com/rest"}
            return JSONResponse(answer | ({"errors": error.errors} if error.errors else {}), error.status)
        except GitError as error:
            return JSONResponse({"message": str(error)}, 422)
    if isinstance(result, Response):
        return result
    return Response(status_code=status) if result is None else JSONResponse(result, status)


def _call(state: State, shapes: Shapes, request: Request, body: bytes) -> Call:
    token = None
    given = request.headers.get("authorization", "").partition(" ")[2]
    if given:
        token = state.tokens.get(given)
        if token is None:
            raise RefusedError(401, "Bad credentials")
    try:
        data = json.loads(body) if body else {}
    except ValueError:
        raise RefusedError(400, "Problems parsing JSON") from None
    params = {name: unquote(str(value)) for name, value in request.path_params.items()}
    url = shapes.url + request.url.path
    return Call(state, shapes, token, params, dict(request.query_params), data, url)
