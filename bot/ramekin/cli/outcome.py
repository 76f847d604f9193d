"""How the end of a run is told."""

from ramekin.pipeline import Outcome
from ramekin.plan.rendering import render_plan
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
        "directory": str(outcome.directory) if outcome.directory else None,
        "report": report.to_data() if report else None,
    }
    if published is None:
        terminal.result(render_plan(outcome.plan, "text"), data)
        return
    done = "published" if published.fresh else f"nothing to do: {outcome.plan.reason}"
    lines = [f"{done}\n  {published.url}", f"  {outcome.plan.key}"]
    if outcome.directory:
        lines.append(f"  {outcome.directory}")
    terminal.result("\n".join(lines), data)
