"""Our client for a loopback GitHub, made as a step of a workflow makes it."""

from pathlib import Path
from typing import Any

from ramekin.action.settings import Inputs, Settings
from ramekin.github.client import GitHub
from ramekin.secret import Secret
from tests.github.loopback import Loopback

RETRY_WAIT = 0.01


def settings(github: Loopback, token: str | None, repository: str = "team/models", **more: Any) -> Settings:
    """What a step would be given."""
    given = {
        "inputs": Inputs(),
        "github_token": Secret(token) if token else None,
        "event_name": "push",
        "event_path": None,
        "repository": repository,
        "sha": "",
        "ref": "refs/heads/main",
        "workspace": Path("/nowhere"),
        "temporary": Path("/nowhere"),
        "api_url": github.api_url,
        "server_url": github.url,
        "run_id": "7",
    }
    return Settings(**{**given, **more})


def client(github: Loopback, token: str, repository: str = "team/models") -> GitHub:
    """The client, which waits but a moment before it repeats what was lost."""
    return GitHub.of(settings(github, token, repository).access, RETRY_WAIT)
