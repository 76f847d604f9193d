"""How the end of a run is told."""

from ramekin.pipeline import Outcome
from ramekin.plan.rendering import render_plan
from ramekin.publish.committing import Published
from ramekin.terminal import Terminal


def show_outcome(terminal: Terminal, outcome: Outcome) -> None:
    """Print what a run did."""
    published, report = outcome.published, outcome.report
    data = {
        "plan": outcome.plan.model_dump(mode="json", by_alias=True),
        "key": outcome.plan.key,
        "changed": bool(published and published.fresh),
        "repo": outcome.plan.target.repo,
        "commit": published.commit if published else None,
        "url": published.url if published else None,
        "notes": [*published.notes] if published else [],
        "directory": str(outcome.directory) if outcome.directory else None,
        "report": report.to_data() if report else None,
    }
    if published is None:
        terminal.result(render_plan(outcome.plan, "text"), data)
        return
    lines = [f"{show_published(published, outcome.plan.reason)}\n  {published.url}", f"  {outcome.plan.key}"]
    if outcome.directory:
        lines.append(f"  {outcome.directory}")
    lines += [f"  note: {note}" for note in published.notes]
    terminal.result("\n".join(lines), data)


def show_published(published: Published, reason: str) -> str:
    """What publishing came to; `reason` says why there was nothing to do."""
    if published.pull_request:
        return "ready as a pull request" if published.fresh else "nothing to do: the pull request is there already"
    return "published" if published.fresh else f"nothing to do: {reason}"
