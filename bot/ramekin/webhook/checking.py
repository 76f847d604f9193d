"""The webhooks that exist, against those that the manifests need."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ramekin.secret import Secret
from ramekin.webhook.watched import Source, Watch

if TYPE_CHECKING:
    from huggingface_hub.hf_api import WebhookInfo

    from ramekin.workbench import Workbench


@dataclass(frozen=True)
class Found:
    """A webhook that has to do with the manifests.

    Attributes:
        id: Its number.
        url: Where the Hub sends to.
        flaws: What keeps it from doing its work.
    """

    id: str
    url: str
    flaws: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How far the webhooks do what the manifests need.

    Attributes:
        webhooks: Those that watch some source.
        missing: Sources that no working webhook watches.
    """

    webhooks: tuple[Found, ...]
    missing: tuple[Source, ...]

    @property
    def complete(self) -> bool:
        """Whether every source is watched, by webhooks without flaws."""
        return not self.missing and not any(found.flaws for found in self.webhooks)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "complete": self.complete,
            "webhooks": [{"id": found.id, "url": found.url, "flaws": [*found.flaws]} for found in self.webhooks],
            "missing": [{"type": source.kind, "name": source.name} for source in self.missing],
        }


def look_at_webhooks(bench: "Workbench", watch: Watch, url: str | None) -> Coverage:
    """Ask the Hub for the webhooks of the token's owner, and compare.

    Args:
        bench: The Hub.
        watch: What has to be watched.
        url: Where they have to send to; None for anywhere.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    from ramekin.refusals import reading

    with reading("your webhooks", access=bench.client.access):
        webhooks = bench.client.patiently(bench.client.api.list_webhooks)
    # Some of them may have secrets that are nobody's business.
    bench.terminal.hide(webhook.secret for webhook in webhooks if webhook.secret)
    return compare(webhooks, watch, url, bench.environment.webhook.secret)


def compare(webhooks: "list[WebhookInfo]", watch: Watch, url: str | None, secret: Secret | None) -> Coverage:
    """Which sources are watched, and what is wrong with the webhooks that watch them.

    Args:
        webhooks: All that there are.
        watch: What has to be watched.
        url: Where they have to send to; None for anywhere.
        secret: What they have to send along; None where nobody knows here.
    """
    found, seen = [], set()
    for webhook in webhooks:
        watched = {source for source in watch.refs if _watches(webhook, source)}
        if not watched or not webhook.url or (url and webhook.url.rstrip("/") != url.rstrip("/")):
            continue
        flaws = tuple(text for text, wrong in _FLAWS.items() if wrong(webhook, secret))
        found.append(Found(webhook.id, webhook.url, flaws))
        seen |= set() if flaws else watched
    return Coverage(tuple(found), tuple(source for source in watch.refs if source not in seen))


def _watches(webhook: "WebhookInfo", source: Source) -> bool:
    namespace = source.name.partition("/")[0]
    wanted = {source.same, *((kind, namespace.casefold()) for kind in ("user", "org"))}
    return any((item.type, item.name.casefold()) in wanted for item in webhook.watched)


def _sends_another(webhook: "WebhookInfo", secret: Secret | None) -> bool:
    known = secret.reveal().encode() if secret else None
    return bool(known and webhook.secret and not hmac.compare_digest(webhook.secret.encode(), known))


_FLAWS: "dict[str, Callable[[WebhookInfo, Secret | None], bool]]" = {
    "it is disabled": lambda webhook, _: webhook.disabled,
    "it is not told of changes of repositories (domain `repo`)": lambda webhook, _: "repo" not in webhook.domains,
    "it has no secret, so that anybody could send what it sends": lambda webhook, _: not webhook.secret,
    "it has another secret than RAMEKIN_WEBHOOK_SECRET": _sends_another,
}
