"""A plan in the form that was asked for: text for people at a terminal, Markdown for a comment, JSON for programs."""

from collections.abc import Callable
from typing import Any, Final, Literal

from ramekin import markdown
from ramekin.plan.model import Plan
from ramekin.plan.quantities import plural, size
from ramekin.plan.text import plan_text
from ramekin.plan.view import (
    HEADLINES,
    cost_texts,
    evaluation_texts,
    group_findings,
    layout_text,
    licence_text,
    method_text,
    target_text,
)
from ramekin.templating import template_environment

Format = Literal["text", "md", "json"]

_MOST_FINDINGS: Final = 200


def render_plan(plan: Plan, form: Format, *, endpoint: str = markdown.HUB) -> str:
    """Render a plan; the text ends in a newline.

    Args:
        plan: What to show.
        form: `text`, `md` or `json`.
        endpoint: The Hub's address, for links; only https is linked.
    """
    if form == "json":
        return plan.to_json()
    if form == "text":
        return plan_text(plan)
    template = template_environment(markup=False).get_template("plan/plan.md.jinja")
    return template.render(plan_values(plan, endpoint))


def plan_values(plan: Plan, endpoint: str = markdown.HUB, linked: Callable[[str], str] | None = None) -> dict[str, Any]:
    """What the parts of a plan in Markdown are made from.

    Args:
        plan: What to show.
        endpoint: The Hub's address, for links; only https is linked.
        linked: Gives, for the base or an expert, the Markdown of a link to its place in the manifest; empty for none.
    """
    return {
        "plan": plan,
        "endpoint": endpoint,
        "headline": HEADLINES[plan.action],
        "errors": group_findings(plan.errors),
        "notes": group_findings(plan.notes),
        "method": method_text(plan),
        "target": target_text(plan),
        "layout": layout_text(plan),
        "licence": licence_text(plan),
        "costs": (*evaluation_texts(plan), *cost_texts(plan)),
        "most": _MOST_FINDINGS,
        "size": size,
        "plural": plural,
        "prose": prose,
        "linked": linked or (lambda _: ""),
    }


def prose(value: object) -> str:
    """One of our sentences, with names from a source between backticks, as Markdown.

    Everything is escaped, whether or not the backticks are ours: what stands between two of them becomes code, and
    where they do not pair up they stay what they are.
    """
    parts = str(value).split("`")
    if len(parts) % 2 == 0:
        return markdown.text(value)
    shown = []
    for number, part in enumerate(parts):
        if number % 2:
            shown.append(markdown.code(part))
        elif not part:
            # Two pieces of code that touch would become one.
            shown.append(" " if 0 < number < len(parts) - 1 else "")
        else:
            # A filter trims what it is given; the spaces around a name are part of the sentence.
            before, after = " " if part[:1].isspace() else "", " " if part[-1:].isspace() and part.strip() else ""
            shown.append(before + markdown.text(part) + after)
    return "".join(shown)
