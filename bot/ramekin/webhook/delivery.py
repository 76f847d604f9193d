"""What the Hub has sent: whether it is news for any manifest."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from ramekin.webhook.watched import Source, Watch

_CONTENT: Final = "repo.content"
_MOST_REFS: Final = 1_000

Short = Annotated[str, StringConstraints(max_length=300)]


class _Part(BaseModel):
    # The Hub adds fields as it likes, and kinds of repositories too: only what is looked at is read.
    model_config = ConfigDict(defer_build=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class _Event(_Part):
    action: Short
    scope: Short


class _Repo(_Part):
    type: Short
    name: Short
    head_sha: Short | None = None


class _UpdatedRef(_Part):
    ref: Short
    new_sha: Short | None = None


class _Payload(_Part):
    event: _Event
    repo: _Repo
    updated_refs: list[_UpdatedRef] | None = Field(None, max_length=_MOST_REFS)


class NoDelivery(ValueError):  # noqa: N818 - it is an answer, not an error of ours
    """What was sent is nothing that the Hub sends."""


@dataclass(frozen=True)
class Delivery:
    """A delivery that was understood.

    Attributes:
        source: The source that has moved; None where no manifest cares.
        news: What tells this move from others: the refs that moved with their new commits.
        why: Why nobody cares.
    """

    source: Source | None = None
    news: tuple[tuple[str, str], ...] = ()
    why: str = ""


def judge(body: bytes, watch: Watch) -> Delivery:
    """Find out what a delivery is about.

    Raises:
        NoDelivery: Nothing that the Hub sends.
    """
    try:
        sent = _Payload.model_validate_json(body)
    except ValidationError as error:
        raise NoDelivery from error
    scope = sent.event.scope
    if scope != _CONTENT and not scope.startswith(f"{_CONTENT}."):
        # Discussions, comments, settings; drafts of ours among them.
        return Delivery(why="it is not about the content of a repository")
    if sent.event.action != "update":
        return Delivery(why="nothing was pushed")
    source = watch.source(sent.repo.type, sent.repo.name)
    if source is None:
        own = sent.repo.type == "model" and sent.repo.name.casefold() in watch.outputs
        return Delivery(why="it is published to, not merged from" if own else "no manifest names it")
    moved = _moved(sent)
    news = tuple(sorted((ref, commit) for ref, commit in moved.items() if ref in watch.refs[source]))
    if moved and not news:
        return Delivery(why="no manifest names a branch or tag of it that has moved")
    return Delivery(source, news)


def _moved(sent: _Payload) -> dict[str, str]:
    """Refs with their new commits; nothing where the Hub does not tell, and a ref that is gone has no commit."""
    return {updated.ref: updated.new_sha or "" for updated in sent.updated_refs or ()}
