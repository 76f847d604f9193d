"""What the environment says about webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.secret import Secret

SECRET: Final = "RAMEKIN_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_TOKENS: Final = ("GITHUB_TOKEN", "GH_TOKEN")
VARIABLES: Final = (SECRET, *_TOKENS)
"""Those that are secret."""


@dataclass(frozen=True)
class Asked:
    """For `ramekin webhook`.

    Attributes:
        secret: What the Hub sends along to prove that it is the Hub.
        token: For starting the workflow on GitHub.
        repository: Whose workflow, `owner/name`.
        api_url: Address of GitHub's interface, where it is another than github.com's.
    """

    secret: Secret | None = None
    token: Secret | None = None
    repository: str = ""
    api_url: str = ""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Asked":
        """Read the environment."""
        secret = env.get(SECRET, "").strip()
        token = next((env[name].strip() for name in _TOKENS if env.get(name, "").strip()), "")
        return cls(
            secret=Secret(secret) if secret else None,
            token=Secret(token) if token else None,
            repository=env.get("GITHUB_REPOSITORY", ""),
            api_url=env.get("GITHUB_API_URL", ""),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no output may show."""
        return tuple(each for each in (self.secret, self.token) if each)
