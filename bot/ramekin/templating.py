"""Where templates are and how they are rendered: sandboxed, with undefined values as errors.

They stand in `templates/` at the top of the repository and, once installed, inside the package. The same loader finds
them from a checkout, an editable install, a wheel and the Action.
"""

from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(template_root()),
        undefined=StrictUndefined,
        autoescape=markup,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    if not markup:
        environment.filters.update(markdown.FILTERS)
    return environment
