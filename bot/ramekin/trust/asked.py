"""What the environment asks of trusted publishing, and gives for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ramekin.errors import Problem
from ramekin.secret import Secret, can_be_sent

VARIABLES: Final = (
    "HF_OIDC_RESOURCE",
    "HF_OIDC_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
"""What no child process may find in its environment, secret or not: the Hub's client there would make an exchange."""
_RESOURCE: Final = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96}){0,2}", re.ASCII)
_USER: Final = re.compile(r"[\w.-]{1,96}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """What the job can prove who it is with, and what it wants tokens for: trusted publishing.

    Attributes:
        resource: What `HF_OIDC_RESOURCE` names: a repository to write to, or a user to read as.
        named_reader: The user to read as that `RAMEKIN_OIDC_READER` names.
        id_token: The ID token that `HF_OIDC_ID_TOKEN` gives.
        address: Where GitHub gives ID tokens to a job that has `permissions: id-token: write`.
        request_token: What it asks for there.
    """

    resource: str | None = None
    named_reader: str | None = None
    id_token: Secret | None = None
    address: str | None = None
    request_token: Secret | None = None

    @property
    def target(self) -> str | None:
        """The repository that a token for writing is to be exchanged for, where one is named."""
        return self.resource if self.resource and "/" in self.resource else None

    @property
    def reader(self) -> str | None:
        """The user that sources are to be read as, where one is named."""
        return self.named_reader or (self.resource if self.resource and "/" not in self.resource else None)

    @property
    def can_be_proved(self) -> bool:
        """Whether there is an ID token, or GitHub gives one."""
        return bool(self.id_token or (self.address and self.request_token))

    @classmethod
    def read(cls, env: Mapping[str, str], *, github: bool) -> "Identity":
        """What the variables say; those of GitHub count only in a job of GitHub's."""
        ours = env if github else {}
        return cls(
            resource=(env.get("HF_OIDC_RESOURCE") or "").strip() or None,
            named_reader=(env.get("RAMEKIN_OIDC_READER") or "").strip() or None,
            id_token=_secret(env.get("HF_OIDC_ID_TOKEN")),
            address=ours.get("ACTIONS_ID_TOKEN_REQUEST_URL") or None,
            request_token=_secret(ours.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")),
        )

    def problems(self) -> list[Problem]:
        """What cannot be meant; values are not shown, since a token may have been put in the wrong place."""
        found = []
        if self.resource and not _RESOURCE.fullmatch(self.resource):
            what = "HF_OIDC_RESOURCE names neither a repository nor a user"
            found.append(Problem(what, "write it as `namespace/name`, or as the name of a user to read as"))
        if self.named_reader and not _USER.fullmatch(self.named_reader):
            what = "RAMEKIN_OIDC_READER is no name of a user"
            found.append(Problem(what, "write the name of the user to read as, without a slash"))
        elif self.target is None and self.resource and self.reader != self.resource:
            what = "HF_OIDC_RESOURCE and RAMEKIN_OIDC_READER name two users to read as"
            found.append(Problem(what, "unset one of them"))
        if self.id_token and not can_be_sent(self.id_token.reveal()):
            what = "the ID token has characters that no token has"
            found.append(Problem(what, "copy it again into HF_OIDC_ID_TOKEN"))
        if self.request_token and not can_be_sent(self.request_token.reveal()):
            what = "ACTIONS_ID_TOKEN_REQUEST_TOKEN has characters that no token has"
            found.append(Problem(what, "leave it as GitHub has set it"))
        return found


def _secret(value: str | None) -> Secret | None:
    return Secret(value.strip()) if value and value.strip() else None
