"""The pages of discussions and pull requests."""

from markupsafe import Markup
from starlette.responses import Response

from ramekin.hub import threads
from ramekin.hub.calls import Call
from ramekin.hub.discussions import differences
from ramekin.hub.pages import head_of, page
from ramekin.hub.rendering import Place, render_differences, render_markdown


def list_page(call: Call) -> Response:
    """`GET …/discussions`."""
    repository = call.repository()
    found = threads.all_threads(repository)
    return page("discussions.html", head=head_of(call, repository), here="Community", threads=found)


def thread_page(call: Call) -> Response:
    """`GET …/discussions/{num}`."""
    repository = call.readable()
    thread = threads.read_thread(repository, call.params["num"])
    place = Place(repository.info.web, "main")
    said = {
        one["id"]: Markup(render_markdown(one["data"]["latest"]["raw"], place))  # noqa: S704 -- rendering sanitises
        for one in thread.events
        if one["type"] == "comment"
    }
    changes = None
    if thread.pull:
        text = "".join(differences(call.store, repository, thread))
        changes = Markup(render_differences(text[:200_000]))  # noqa: S704 -- rendering escapes
    return page(
        "discussion.html",
        head=head_of(call, repository),
        here="Community",
        thread=thread,
        said=said,
        differences=changes,
        conflicts=threads.conflicts(repository, thread) if thread.pull and thread.status == "open" else [],
    )
