"""The report of a merge that is on the Hub."""

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ramekin.report import REPORT_NAME, Report

if TYPE_CHECKING:
    from ramekin.client import HubClient

_LIMIT: Final = 32 << 20


def published_report(client: "HubClient", repo: str, commit: str) -> Report | None:
    """The report that a commit holds; None where it holds none, or what is there is none.

    Raises:
        SourceError: The Hub cannot be asked.
    """
    try:
        content = client.read_if_present(repo, commit, REPORT_NAME, _LIMIT)
        return None if content is None else Report.model_validate_json(content)
    except ValidationError:
        return None
