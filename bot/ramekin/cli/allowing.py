"""What the user allows, from options and environment."""

import re
from typing import TYPE_CHECKING, Final

from ramekin.errors import UsageError
from ramekin.text import printable
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.plan.objections import Permissions

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def permissions(
    bench: Workbench, *, adopt: bool, allow_private_sources: bool, allowed_namespaces: str | None
) -> "Permissions":
    """What is explicitly allowed; an option counts before the variable.

    Raises:
        UsageError: What should be namespaces are none.
    """
    from ramekin.plan.objections import Permissions

    named = bench.environment.namespaces if allowed_namespaces is None else allowed_namespaces
    return Permissions(adopt, allow_private_sources, None if named is None else _namespaces(named))


def _namespaces(text: str) -> frozenset[str]:
    """Names between commas. A list that came out empty by mistake must not allow everything."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if not _NAMESPACE.fullmatch(name)]
    if wrong or not names:
        what = f"`{printable(wrong[0])}` is no namespace" if wrong else "no namespace is named that may be written to"
        raise UsageError(what, "write --allowed-namespaces (or RAMEKIN_ALLOWED_NAMESPACES) as `my-org,my-name`")
    return frozenset(names)
