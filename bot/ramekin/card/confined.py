"""A card template of somebody's own rendered, as a process of its own with bounds.

One JSON object comes on stdin: the template, and what the card is made of, without which the template is only compiled.
One goes to stdout: the card, or what is wrong with the template and in which line.
"""

import json
import resource
import sys
from collections.abc import Iterator
from typing import Any, Final

from jinja2 import Template
from jinja2.exceptions import SecurityError, TemplateError, TemplateNotFound, TemplateSyntaxError

from ramekin.card.rendering import card_values, prepared
from ramekin.lock.model import Lock
from ramekin.manifest.model import CardTexts
from ramekin.report import Report
from ramekin.templating import confined_environment

NAME: Final = "card.md.jinja"
_SECONDS: Final = 5
_MEMORY: Final = 1 << 30
_OUTPUT: Final = 16 << 20
_LONGEST: Final = 1_000_000
"""Characters of a card: the Hub does not show more of one."""


def render(template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Render a template.

    Args:
        template: Its text.
        values: Report, texts, lock and endpoint as data; without them it is only compiled.

    Returns:
        `card`, or `problem` and its `line`, which is None where it is not the template's.
    """
    environment = confined_environment(NAME, template)
    try:
        compiled = environment.get_template(NAME)
        return {"card": "".join(_pieces(compiled, values)) if values else ""}
    except Exception as error:  # noqa: BLE001 - a template can have Python raise whatever it has
        return {"problem": _told(error), "line": _line(error)}


def _pieces(template: Template, values: dict[str, Any]) -> Iterator[str]:
    report, texts = Report.model_validate(values["report"]), CardTexts.model_validate(values["texts"])
    lock = Lock.model_validate(values["lock"])
    report, licence = prepared(report, texts, lock)
    length = 0
    for piece in template.generate(card_values(report, texts, lock, licence, values["endpoint"])):
        length += len(piece)
        if length > _LONGEST:
            raise OverflowError(f"more than {_LONGEST:,} characters")
        yield piece


def _told(error: Exception) -> str:
    """What is wrong, as a sentence about the template has it."""
    told = error.message if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
    words = {
        TemplateSyntaxError: f"cannot be read: {told}",
        TemplateNotFound: f"names a template that there is not: {told}",
        SecurityError: f"does what no card may: {told}",
        MemoryError: "needs more memory than a card may",
        RecursionError: "is nested too deeply, or includes itself",
    }
    return next((says for kind, says in words.items() if isinstance(error, kind)), f"does not fit: {told}")


def _line(error: Exception) -> int | None:
    """The line of the template that an error comes from; None if it is in none of its lines."""
    if isinstance(error, TemplateSyntaxError) and error.name == NAME:
        return error.lineno
    line, trace = None, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def main() -> None:
    """Render what stdin asks for, within bounds that cannot be lifted any more."""
    order = json.load(sys.stdin)
    for limit, most in (
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, _OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    answer = json.dumps(render(order["template"], order["values"]), ensure_ascii=False)
    sys.stdout.buffer.write(answer.encode(errors="replace"))


if __name__ == "__main__":
    main()
