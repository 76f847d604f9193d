"""The ID token of a job: where it comes from, and what it says of the job."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ramekin.secret import Secret
from ramekin.text import printable

_WORKFLOWS: Final = "/.github/workflows/"


@dataclass(frozen=True)
class IdToken:
    """What proves who a job is.

    Attributes:
        secret: The token.
        given: Whether the user has given it. Otherwise GitHub makes a new one whenever one is wanted.
        claims: What it says of the job. That is not checked here: the Hub does, which knows the keys.
    """

    secret: Secret
    given: bool
    claims: Mapping[str, Any]

    @classmethod
    def read(cls, value: str, *, given: bool) -> "IdToken | None":
        """The token with its claims; None if it is none."""
        parts = value.split(".")
        if len(parts) != 3 or not all(parts):
            return None
        try:
            claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars="-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            return None
        return cls(Secret(value), given, claims) if isinstance(claims, dict) else None

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom it was made for."""
        said = self.claims.get("aud")
        return tuple(str(one) for one in said) if isinstance(said, list) else (str(said),) if said else ()

    def has_expired(self, now: float) -> bool:
        """Whether it says that its time is over at `now`, in seconds since 1970."""
        end = self.claims.get("exp")
        return isinstance(end, int | float) and end <= now

    @property
    def bearer(self) -> str:
        """The job in the words that a trusted publisher is described with."""
        repository = self._claim("repository") or self._claim("project_path") or self._claim("sub")
        if not repository:
            return "this job"
        path = self._claim("workflow_ref").partition("@")[0]
        facts = {
            "workflow": path.partition(_WORKFLOWS)[2] or self._claim("workflow"),
            "ref": self._claim("ref"),
            "environment": self._claim("environment"),
        }
        told = ", ".join(f"{name} {printable(value, 60)}" for name, value in facts.items() if value)
        return f"{printable(repository)}{f' ({told})' if told else ''}"

    def _claim(self, name: str) -> str:
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""
