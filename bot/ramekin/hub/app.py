"""The table of routes, and the way from a request to a handler and back."""

import hashlib
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ramekin.hub import (
    commits,
    community,
    discussions,
    exchange,
    files,
    history,
    jobs,
    pages,
    repos,
    service,
    shelf,
    uploads,
    webhooks,
    xet,
)
from ramekin.hub.access import User
from ramekin.hub.calls import Call, Handler, Parts, Upload, refusal
from ramekin.hub.front import Application, Front
from ramekin.hub.records import REPO_TYPES, RepoType
from ramekin.hub.refusal import Moved, Refusal, repo_not_found

_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """One route.

    `{api}` and `{web}` at the start of a path stand for a repository, in each of its three types:
    `/api/models/{ns}/{name}` and `/{ns}/{name}`, `/api/datasets/…` and `/datasets/…`, and so on.
    A streamed route takes a body of any size; a page is for people, and so are its refusals; of a stranger no token is
    known here.
    """

    methods: str
    path: str
    handler: Handler
    streamed: bool = False
    page: bool = False
    stranger: bool = False


RULES: Final = (
    Rule("GET", "/api/whoami-v2", repos.whoami),
    Rule("GET", "/api/agent-harnesses", service.agent_harnesses),
    Rule("GET", "/api/telemetry/{topic:path}", service.telemetry),
    Rule("POST", "/oauth/token", exchange.exchange, stranger=True),
    Rule("GET", "/_github/id-token", exchange.id_token, stranger=True),
    Rule("POST", "/api/validate-yaml", service.validate_yaml),
    Rule("POST", "/api/repos/create", repos.create_repo),
    Rule("DELETE", "/api/repos/delete", repos.delete_repo),
    Rule("POST", "/api/repos/move", repos.move_repo),
    Rule("GET", "/api/collections", shelf.list_all),
    Rule("POST", "/api/collections", shelf.create),
    Rule("GET", "/api/collections/{ns}/{slug}", shelf.read),
    Rule("DELETE", "/api/collections/{ns}/{slug}", shelf.delete),
    Rule("POST", "/api/collections/{ns}/{slug}/items", shelf.add_item),
    Rule("PATCH DELETE", "/api/collections/{ns}/{slug}/items/{item}", shelf.change_item),
    Rule("GET", "/api/jobs/hardware", jobs.hardware),
    Rule("GET", "/api/jobs/{ns}", jobs.list_all),
    Rule("POST", "/api/jobs/{ns}", jobs.start),
    Rule("GET", "/api/jobs/{ns}/{job}", jobs.read),
    Rule("GET", "/api/jobs/{ns}/{job}/logs", jobs.logs),
    Rule("POST", "/api/jobs/{ns}/{job}/cancel", jobs.cancel),
    Rule("GET POST", "/api/settings/webhooks", webhooks.webhooks),
    Rule("GET POST DELETE", "/api/settings/webhooks/{id}", webhooks.webhook),
    Rule("POST", "/api/settings/webhooks/{id}/enable", webhooks.switch),
    Rule("POST", "/api/settings/webhooks/{id}/disable", webhooks.switch),
    Rule("GET POST DELETE", "/_faults", service.faults),
    Rule("GET DELETE", "/_log", service.log),
    Rule("PUT", "/_upload/{oid}/whole", uploads.put_whole, streamed=True),
    Rule("PUT", "/_upload/{oid}/part/{number}", uploads.put_part, streamed=True),
    Rule("POST", "/_upload/{oid}/complete", uploads.complete),
    Rule("GET", "{types}", repos.list_repos),
    Rule("GET", "{api}", repos.repo_info),
    Rule("GET", "{api}/revision/{rev}", repos.repo_info),
    Rule("PUT", "{api}/settings", repos.change_settings),
    Rule("GET", "{api}/auth-check", repos.check_read),
    Rule("GET", "{api}/auth-check/write", repos.check_write),
    Rule("GET", "{api}/tree/{rev}", files.list_tree),
    Rule("GET", "{api}/tree/{rev}/{path:path}", files.list_tree),
    Rule("POST", "{api}/paths-info/{rev}", files.paths_info),
    Rule("GET", "{api}/refs", history.list_refs),
    Rule("GET", "{api}/commits/{rev}", history.list_commits),
    Rule("POST", "{api}/branch/{rev}", history.create_branch),
    Rule("DELETE", "{api}/branch/{rev}", history.delete_branch),
    Rule("POST", "{api}/tag/{rev}", history.create_tag),
    Rule("DELETE", "{api}/tag/{rev}", history.delete_tag),
    Rule("POST", "{api}/super-squash/{rev}", history.squash),
    Rule("POST", "{api}/preupload/{rev}", uploads.preupload),
    Rule("POST", "{api}/commit/{rev}", commits.create_commit),
    Rule("GET", "{api}/xet-write-token/{rev}", xet.write_token),
    Rule("GET", "{api}/xet-read-token/{rev}", xet.read_token),
    Rule("GET", "{api}/discussions", discussions.list_threads),
    Rule("POST", "{api}/discussions", discussions.create_thread),
    Rule("GET", "{api}/discussions/{num}", discussions.read_thread),
    Rule("POST", "{api}/discussions/{num}/comment", discussions.add_comment),
    Rule("POST", "{api}/discussions/{num}/comment/{event}/edit", discussions.edit_comment),
    Rule("POST", "{api}/discussions/{num}/comment/{event}/hide", discussions.hide_comment),
    Rule("POST", "{api}/discussions/{num}/title", discussions.change_title),
    Rule("POST", "{api}/discussions/{num}/status", discussions.change_status),
    Rule("POST", "{api}/discussions/{num}/merge", discussions.merge),
    Rule("POST", "{web}.git/info/lfs/objects/batch", uploads.batch),
    Rule("POST", "{web}.git/info/lfs/verify", uploads.verify),
    Rule("POST", "{web}/ask-access", repos.ask_access),
    Rule("GET", "{web}/resolve/{rev}/{path:path}", files.resolve),
    Rule("GET", "{web}/raw/{rev}/{path:path}", files.raw),
    Rule("GET", "/_style.css", pages.style),
    Rule("GET", "/_icon.svg", pages.icon),
    Rule("GET", "/_signin", pages.sign_in, page=True),
    Rule("GET", "/", pages.home, page=True),
    Rule("GET", "{web}", pages.card, page=True),
    Rule("GET", "{web}/tree/{rev}", pages.tree, page=True),
    Rule("GET", "{web}/tree/{rev}/{path:path}", pages.tree, page=True),
    Rule("GET", "{web}/blob/{rev}/{path:path}", pages.blob, page=True),
    Rule("GET", "{web}/commits/{rev}", pages.commits, page=True),
    Rule("GET", "{web}/commit/{rev}", pages.commit, page=True),
    Rule("GET", "{web}/discussions", community.list_page, page=True),
    Rule("GET", "{web}/discussions/{num}", community.thread_page, page=True),
    Rule("GET", "/{ns}", pages.home, page=True),
)


def make_app(hub: Parts) -> Application:
    """The ASGI application of a Hub."""
    machines = [_route(hub, rule, path, kind) for rule in RULES if not rule.page for path, kind in _paths(rule.path)]
    lost = [_route(hub, _LOST, f"/api/{kind}s/{{rest:path}}", kind) for kind in REPO_TYPES]
    lost.append(_route(hub, _LOST, "/{name}/resolve/{rest:path}", "model"))
    people = [_route(hub, rule, path, kind) for rule in RULES if rule.page for path, kind in _paths(rule.path)]
    routes = [*machines, *lost, *people]
    return Front(Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route}), hub)


def _paths(path: str) -> Iterator[tuple[str, RepoType]]:
    """The paths that a rule stands for, each with its type of repository."""
    if "{types}" in path:
        yield from ((path.replace("{types}", f"/api/{kind}s"), kind) for kind in REPO_TYPES)
    elif "{api}" in path:
        yield from ((path.replace("{api}", f"/api/{kind}s/{{ns}}/{{name}}"), kind) for kind in REPO_TYPES)
    elif "{web}" in path:
        yield from (
            (path.replace("{web}", f"/{kind}s/{{ns}}/{{name}}"), kind) for kind in REPO_TYPES if kind != "model"
        )
        yield path.replace("{web}", "/{ns}/{name}"), "model"
    else:
        yield path, "model"


def _route(hub: Parts, rule: Rule, path: str, kind: RepoType) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return _labelled(await _handled(hub, rule, kind, request))
        except Refusal as error:
            return _labelled(pages.refusal_page(error) if rule.page else refusal(error))
        except Moved as moved:
            goal = request.url.path.replace(f"/{moved.old}", f"/{moved.new}", 1)
            query = f"?{request.url.query}" if request.url.query else ""
            return _labelled(RedirectResponse(goal + query, 307))
        except ClientDisconnect:
            return Response(status_code=499)  # to nobody: whoever asked has gone
        except Exception as error:  # noqa: BLE001 -- a dropped connection costs the client half a minute of retries
            return _labelled(_defect(request, error))

    return Route(path, endpoint, methods=rule.methods.split())


async def _handled(hub: Parts, rule: Rule, kind: RepoType, request: Request) -> Response:
    call = Call(
        hub=hub,
        method=request.method,
        path=request.url.path,
        base=f"{request.url.scheme}://{request.headers.get('host') or request.url.netloc}",
        kind=kind,
        params={name: unquote(value) for name, value in request.path_params.items()},
        query=request.query_params,
        headers=request.headers,
        viewer=None if rule.stranger else _viewer(hub, request),
    )
    if not rule.streamed:
        return await run_in_threadpool(rule.handler, replace(call, body=await request.body()))
    with hub.store.blobs.draft() as draft:
        digest, size = hashlib.sha256(), 0
        with draft.open("wb") as file:
            async for chunk in request.stream():
                digest.update(chunk)
                size += file.write(chunk)
        upload = Upload(draft, digest.hexdigest(), size)
        return await run_in_threadpool(rule.handler, replace(call, upload=upload))


def _viewer(hub: Parts, request: Request) -> User | None:
    """Who asks: by token or, for browsers, which may only look, by cookie."""
    authorization = request.headers.get("authorization")
    cookie = request.cookies.get(pages.COOKIE)
    if authorization is None and cookie and request.method in ("GET", "HEAD"):
        return hub.access.holder(cookie)
    return hub.access.viewer(authorization)


def _labelled(response: Response) -> Response:
    response.headers["X-Request-Id"] = f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _unknown_repo(call: Call) -> Response:
    raise repo_not_found(anonymous=call.viewer is None)


#: Ids without a namespace, and paths that the Hub does not have.
_LOST: Final = Rule("GET POST PUT DELETE PATCH", "", _unknown_repo)


async def _no_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _labelled(refusal(Refusal(status, f"The embedded Hub has no {request.method} {request.url.path}")))


def _defect(request: Request, error: Exception) -> Response:
    """A defect of ours. 501, as the client would repeat the request for half a minute after most other 5xx."""
    _LOGGER.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = f"A defect of the embedded Hub: {type(error).__name__}: {error}"
    return _labelled(refusal(Refusal(501, message, "InternalError")))
