"""How to set up the webhooks, and how far that is done, for people."""

from ramekin.text import printable
from ramekin.webhook.checking import Coverage
from ramekin.webhook.watched import Watch

EVENT = "ramekin-update"
"""The type of the `repository_dispatch` that the workflow listens to."""


def show_setup(watch: Watch, endpoint: str, url: str | None) -> str:
    """What to fill in on the Hub's page for a new webhook."""
    lines = [f"A webhook on the Hub ({endpoint}/settings/webhooks), so that new weights are seen at once:", ""]
    watched = [f"{source.kind:<8} {source.name}" for source in watch.refs] or ["nothing: no source is on the Hub"]
    for label, values in {
        "watch": watched,
        "url": [url or "where `ramekin webhook --serve` can be reached by https"],
        "events": ["changes of repositories (repo), and no others"],
        "secret": ["a long random text, the same as in RAMEKIN_WEBHOOK_SECRET"],
    }.items():
        lines += [f"  {label if not number else '':<8} {printable(value, 300)}" for number, value in enumerate(values)]
    lines += ["", f"The receiver sends `repository_dispatch` with the type {EVENT}, as ramekin-update.yml expects."]
    return "\n".join(lines)


def show_coverage(coverage: Coverage | None) -> str:
    """What there is and what is missing; None where nobody could look."""
    if coverage is None:
        return "Whether there is such a webhook was not looked at: set HF_TOKEN, or say `hf auth login`, for that."
    lines = ["There is:" if coverage.webhooks else "There is no webhook that watches any of them."]
    for found in coverage.webhooks:
        lines.append(f"  {printable(found.id)}  {printable(found.url, 300)}")
        lines += [f"    {flaw}" for flaw in found.flaws]
    if coverage.missing:
        names = ", ".join(f"{source.kind} {printable(source.name)}" for source in coverage.missing)
        lines.append(f"Nothing that works watches: {names}")
    elif coverage.complete:
        lines.append("All sources are watched.")
    return "\n".join(lines)
