"""xet."""

from ramekin.hub.calls import Parts
from ramekin.hub.repository import Repository


def claim(hub: Parts, repository: Repository, sha256: str) -> None:
    """Nothing yet."""
