"""Where templates are and how they are rendered: sandboxed, with undefined values as errors.

They stand in `templates/` at the top of the repository and, once installed, inside the package. The same loader finds
them from a checkout, an editable install, a wheel and the Action.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, FunctionLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from ramekin import markdown
from ramekin.errors import InternalError

_PACKAGE = Path(__file__).resolve().parent


def template_root() -> Path:
    """The directory with all templates.

    Raises:
        InternalError: The installation lacks them.
    """
    for root in (_PACKAGE / "templates", _PACKAGE.parents[1] / "templates"):
        if root.is_dir():
            return root
    raise InternalError("the templates of this installation are missing", "install ramekin again")


@cache
def template_environment(*, markup: bool) -> ImmutableSandboxedEnvironment:
    """The environment that renders templates.

    Args:
        markup: Escape values for HTML and SVG; otherwise the template escapes, with the filters of `ramekin.markdown`.
    """
    return _prepared(ImmutableSandboxedEnvironment, FileSystemLoader(template_root()), markup=markup)


def confined_environment(name: str, text: str) -> ImmutableSandboxedEnvironment:
    """The environment for a Markdown template that is not ours, which finds our own and itself, and nothing else.

    Args:
        name: What it is called.
        text: The template.
    """
    own = FunctionLoader(lambda asked: (text, name, lambda: True) if asked == name else None)
    environment = _prepared(_Confined, ChoiceLoader([own, FileSystemLoader(template_root())]), markup=False)
    del environment.globals["lipsum"]
    return environment


def workflow_environment(root: Path) -> ImmutableSandboxedEnvironment:
    """The environment for workflows, in which both `{{ }}` and `{% %}` may stand for themselves.

    Values are `<<name>>`, and a line that begins with `#%`, a comment in YAML, is a statement.

    Args:
        root: Directory that the templates' names are relative to.
    """
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(root),
        undefined=StrictUndefined,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        line_statement_prefix="#%",
        autoescape=False,
        keep_trailing_newline=True,
    )


class _Confined(ImmutableSandboxedEnvironment):
    """A sandbox in which data are data: of a model no method is to be had, which could read files, and no class."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, type) or not super().is_safe_attribute(obj, attr, value):
            return False
        return not isinstance(obj, BaseModel) or not (attr.startswith("model_") or callable(value))


def _prepared(
    kind: type[ImmutableSandboxedEnvironment], loader: BaseLoader, *, markup: bool
) -> ImmutableSandboxedEnvironment:
    environment = kind(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=markup,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    if not markup:
        environment.filters.update(markdown.FILTERS)
    return environment
