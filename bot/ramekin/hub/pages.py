"""The pages that people see: repositories, cards, files and history."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ramekin.hub import access, cards, formats
from ramekin.hub.calls import Call
from ramekin.hub.checkpoints import count_parameters, read_header
from ramekin.hub.discussions import tree_differences
from ramekin.hub.files import last_changes, listing
from ramekin.hub.records import Commit, Entry, Repo
from ramekin.hub.refusal import Refusal, entry_not_found
from ramekin.hub.rendering import Place, render_differences, render_markdown, render_source
from ramekin.hub.repos import HELD_AS_TEXT, read_text
from ramekin.hub.repository import Repository
from ramekin.hub.threads import all_threads
from ramekin.templating import template_environment, template_root

#: Pages load their style and the images of the repository, nothing else, and run nothing.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
COOKIE: Final = "hub_token"
_IMAGES: Final = frozenset({".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp"})
_SHOWN_TENSORS: Final = 400
_SHOWN_TEXT: Final = 400_000
_SHOWN_COMMITS: Final = 200


@dataclass(frozen=True)
class Tab:
    """One of the ways to look at a repository."""

    label: str
    href: str
    count: int | None = None


@dataclass(frozen=True)
class Head:
    """What stands above every page of a repository."""

    repo: Repo
    revision: str
    commit: Commit
    card: cards.Card
    tags: list[str]
    branches: list[str]
    tag_names: list[str]
    tabs: list[Tab]


def page(name: str, status: int = 200, **values: Any) -> Response:
    """Render a page of `templates/hub`."""
    functions = {
        "file_size": formats.file_size,
        "parameter_count": formats.parameter_count,
        "day": formats.day,
        "minute": formats.minute,
        "segment": lambda text: quote(text, safe=""),
        "steps": quote,
    }
    html = template_environment(markup=True).get_template(f"hub/{name}").render(**values, **functions)
    return HTMLResponse(html, status, {"Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "same-origin"})


def refusal_page(error: Refusal) -> Response:
    """What a person sees who may not, or whose page is not there."""
    return page("refusal.html", error.status, status_code=error.status, message=error.message)


def style(_: Call) -> Response:
    """`GET /_style.css`."""
    return Response((template_root() / "hub" / "style.css").read_text(), media_type="text/css")


def icon(_: Call) -> Response:
    """`GET /_icon.svg`."""
    return Response((template_root() / "hub" / "icon.svg").read_text(), media_type="image/svg+xml")


def sign_in(call: Call) -> Response:
    """`GET /_signin?key=…&next=/…`: let a browser look as the Hub's first user. It cannot write that way."""
    if not hmac.compare_digest(call.query.get("key", ""), call.hub.options.control_key):
        raise Refusal(403, "The control key is missing or wrong")
    goal = call.query.get("next", "/")
    goal = goal if goal.startswith("/") and not goal.startswith(("//", "/\\")) else "/"
    answer = RedirectResponse(goal, 303)
    answer.set_cookie(COOKIE, call.hub.access.first().token, httponly=True, samesite="strict")
    return answer


def home(call: Call) -> Response:
    """`GET /` and `GET /{ns}`: all repositories that the viewer may see, newest first."""
    namespace = call.params.get("ns")
    shown = []
    for repository in call.store.repositories():
        info = repository.info
        if info.disabled or not access.sees(call.viewer, info) or namespace not in (None, info.namespace):
            continue
        shown.append(_tile(call, repository))
    if namespace and not shown:
        raise Refusal(404, f"There is no user or organisation {namespace} here.")
    shown.sort(key=lambda tile: str(tile["date"]), reverse=True)
    return page("home.html", tiles=shown, namespace=namespace, viewer=call.viewer)


def card(call: Call) -> Response:
    """`GET /{ns}/{name}`: the card."""
    repository = call.repository()
    head = head_of(call, repository)
    tree = repository.tree(head.commit)
    place = Place(repository.info.web, head.revision)
    html = render_markdown(head.card.body, place) if "README.md" in tree else None
    return page(
        "card.html",
        head=head,
        here="Card",
        card_html=None if html is None else Markup(html),  # noqa: S704 -- rendering sanitises
        parents=cards.strings(head.card.data.get("base_model")),
        relation=cards.base_model_relation(head.card.data),
        children=_children(call, repository.info),
        known={one.info.id for one in call.store.repositories() if access.sees(call.viewer, one.info)},
        parameters=_parameters(call, tree),
        total=sum(entry.size for entry in tree.values()),
        count=len(tree),
    )


def tree(call: Call) -> Response:
    """`GET …/tree/{rev}[/{path}]`: the files of a folder."""
    repository = call.repository()
    head = head_of(call, repository)
    files = repository.tree(head.commit)
    folder = call.params.get("path", "").strip("/")
    inside = [path for path in files if not folder or path.startswith(f"{folder}/")]
    if folder and not inside:
        raise entry_not_found(f"{folder} is not in this repository.")
    rows = listing(files, inside, folder, deep=False)
    changes = last_changes(repository, head.commit, [row["path"] for row in rows])
    shown = [{"row": row, "entry": files.get(row["path"]), "commit": changes[row["path"]]} for row in rows]
    total = sum(files[path].size for path in inside)
    return page("tree.html", head=head, here="Files", folder=folder, trail=_trail(folder), rows=shown, total=total)


def blob(call: Call) -> Response:
    """`GET …/blob/{rev}/{path}`: one file."""
    repository = call.readable()
    head = head_of(call, repository)
    path = call.params["path"]
    entry = repository.tree(head.commit).get(path)
    if entry is None:
        raise entry_not_found(f"{path} is not in this repository.")
    suffix = PurePosixPath(path).suffix.lower()
    return page(
        "blob.html",
        head=head,
        here="Files",
        entry=entry,
        trail=_trail(path),
        change=last_changes(repository, head.commit, [path])[path],
        image=suffix in _IMAGES,
        source=_source(call, entry) if suffix not in _IMAGES else None,
        prose=_prose(call, entry, head) if suffix == ".md" else None,
        tensors=_tensors(call, entry) if suffix == ".safetensors" else None,
        most=_SHOWN_TENSORS,
    )


def commits(call: Call) -> Response:
    """`GET …/commits/{rev}`: history."""
    repository = call.repository()
    head = head_of(call, repository)
    shown = [one for one, _ in zip(repository.history(head.commit), range(_SHOWN_COMMITS), strict=False)]
    return page("commits.html", head=head, here="History", commits=shown, refs=_names_by_commit(repository))


def commit(call: Call) -> Response:
    """`GET …/commit/{rev}`: one commit and what it changed."""
    repository = call.readable()
    head = head_of(call, repository)
    new = repository.tree(head.commit)
    old = repository.tree(repository.read_commit(head.commit.parents[0])) if head.commit.parents else {}
    text = "".join(tree_differences(call.store, old, new))
    return page(
        "commit.html",
        head=head,
        here="History",
        changed=_changed(old, new),
        differences=Markup(render_differences(text[:_SHOWN_TEXT])),  # noqa: S704 -- rendering escapes
        cut=len(text) > _SHOWN_TEXT,
    )


def head_of(call: Call, repository: Repository, revision: str | None = None) -> Head:
    """What stands above every page of a repository."""
    info = repository.info
    revision = revision or call.params.get("rev", "main")
    at = repository.resolve(revision)
    files = repository.tree(at)
    read = cards.read_card(read_text(call.store, files.get("README.md")))
    refs = repository.refs()
    here = quote(revision, safe="")
    tabs = [
        Tab("Card", info.web),
        Tab("Files", f"{info.web}/tree/{here}", len(files)),
        Tab("History", f"{info.web}/commits/{here}", sum(1 for _ in repository.history(at))),
        Tab("Community", f"{info.web}/discussions", len(all_threads(repository))),
    ]
    return Head(
        repo=info,
        revision=revision,
        commit=at,
        card=read,
        tags=[tag for tag in cards.derived_tags(read.data) if not tag.startswith(("base_model:", "region:"))],
        branches=_short(refs, "refs/heads/"),
        tag_names=_short(refs, "refs/tags/"),
        tabs=tabs,
    )


def _short(refs: Iterable[str], prefix: str) -> list[str]:
    return sorted(ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix))


def _tile(call: Call, repository: Repository) -> dict[str, Any]:
    at = repository.resolve("main")
    files = repository.tree(at)
    read = cards.read_card(read_text(call.store, files.get("README.md")))
    return {
        "repo": repository.info,
        "date": at.date,
        "commit": at,
        "count": len(files),
        "total": sum(entry.size for entry in files.values()),
        "parameters": _parameters(call, files),
        "tags": cards.strings(read.data.get("tags"))[:4],
        "relation": cards.base_model_relation(read.data),
    }


def _children(call: Call, info: Repo) -> list[str]:
    """Repositories that name this one as a parent."""
    found = []
    for other in call.store.repositories():
        if other.info.id == info.id or not access.sees(call.viewer, other.info):
            continue
        files = other.tree(other.resolve("main"))
        data = cards.read_card(read_text(call.store, files.get("README.md"))).data
        if info.id in cards.strings(data.get("base_model")):
            found.append(other.info.id)
    return found


def _parameters(call: Call, files: Mapping[str, Entry]) -> dict[str, Any] | None:
    weights = [entry for path, entry in files.items() if path.endswith(".safetensors") and "/" not in path]
    return count_parameters(call.store.blobs.path(entry.sha256) for entry in weights)


def _source(call: Call, entry: Entry) -> Markup | None:
    """The file as text, if it is text of a size that people read."""
    if entry.lfs or entry.size > HELD_AS_TEXT:
        return None
    content = call.store.blobs.read(entry.sha256)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return Markup(render_source(text[:_SHOWN_TEXT], entry.path))  # noqa: S704 -- rendering escapes


def _prose(call: Call, entry: Entry, head: Head) -> Markup:
    folder = entry.path.rpartition("/")[0]
    place = Place(head.repo.web, head.revision, folder)
    body = cards.read_card(read_text(call.store, entry)).body
    return Markup(render_markdown(body, place))  # noqa: S704 -- rendering sanitises


def _tensors(call: Call, entry: Entry) -> list[dict[str, Any]] | None:
    header = read_header(call.store.blobs.path(entry.sha256))
    if header is None:
        return None
    rows = [
        {"name": name, **facts} for name, facts in header.items() if name != "__metadata__" and isinstance(facts, dict)
    ]
    return [{"name": row["name"], "dtype": row.get("dtype", "?"), "shape": row.get("shape", "?")} for row in rows]


def _trail(path: str) -> list[tuple[str, str]]:
    """Each step of a path with the path up to it."""
    steps = path.split("/") if path else []
    return [(step, "/".join(steps[: depth + 1])) for depth, step in enumerate(steps)]


def _changed(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> list[dict[str, Any]]:
    rows = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before != after:
            kind = "added" if before is None else "removed" if after is None else "changed"
            rows.append({"path": path, "kind": kind, "size": after.size if after else 0})
    return rows


def _names_by_commit(repository: Repository) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for ref, commit_id in sorted(repository.refs().items()):
        label = ref.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/")
        names.setdefault(commit_id, []).append(label)
    return names
