"""Trusted publishing: a stand-in for GitHub, which says who a job is, and the exchange of that for a token of the Hub.

Both are one server here, so they share a key; GitHub signs with a private one, whose public half the Hub knows.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from ramekin.hub.access import Access, Role, User

ISSUER: Final = "https://token.actions.githubusercontent.com"
#: As whom the Hub shows what is done with a token for a repository.
AUTHOR: Final = "[OIDC]"
_MINUTES: Final = 60


@dataclass(frozen=True)
class Job:
    """A job as GitHub knows it; and as a trusted publisher describes it, where None is any.

    Attributes:
        repository: On GitHub.
        workflow: Name of the workflow's file.
        ref: The branch or tag that it runs for.
        environment: The protected environment that it runs in.
    """

    repository: str | None = "octo/merges"
    workflow: str | None = "merge.yml"
    ref: str | None = "refs/heads/main"
    environment: str | None = None

    def describes(self, other: "Job") -> bool:
        """Whether all that is said here is exactly so of another one."""
        wanted, found = asdict(self), asdict(other)
        return all(value in (None, found[name]) for name, value in wanted.items())

    def claims(self) -> dict[str, Any]:
        """What GitHub says of it."""
        path = f"{self.repository}/.github/workflows/{self.workflow}@{self.ref}"
        place = f"environment:{self.environment}" if self.environment else f"ref:{self.ref}"
        known = {"repository": self.repository, "ref": self.ref, "workflow": "Merge", "workflow_ref": path}
        known |= {"environment": self.environment} if self.environment else {}
        return {"sub": f"repo:{self.repository}:{place}", **known, "job_workflow_ref": path}

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> "Job":
        """The job that claims are about."""
        workflow = str(claims.get("workflow_ref")).partition("@")[0].rpartition("/")[2]
        return cls(claims.get("repository"), workflow, claims.get("ref"), claims.get("environment"))


@dataclass(frozen=True)
class Publisher:
    """A job that a repository, or a user, trusts.

    Attributes:
        resource: The repository, such as `org/model` or `datasets/org/data`; or a user's name.
        job: What is known of it.
        read_only: Whether it gets a token that does not write.
    """

    resource: str
    job: Job
    read_only: bool = False


@dataclass
class Trust:
    """Who is trusted with what.

    Attributes:
        access: Gets to know the tokens that are given out.
        audience: The Hub's own address, which ID tokens must be made for.
        lifetime: Seconds that a token lasts.
    """

    access: Access
    audience: str
    lifetime: float = 3600
    _publishers: list[Publisher] = field(default_factory=list)
    _jobs: dict[str, Job] = field(default_factory=dict)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, resource: str, job: Job | None = None, *, read_only: bool = False) -> None:
        """Make a job a trusted publisher of a repository, or let it read as a user."""
        with self._lock:
            self._publishers.append(Publisher(resource, job or Job(), read_only))

    def clear(self) -> None:
        """Trust nobody."""
        with self._lock:
            self._publishers.clear()

    # What GitHub does

    def environment(self, job: Job | None = None) -> dict[str, str]:
        """What GitHub puts into the environment of a job that has `permissions: id-token: write`."""
        request_token = secrets.token_urlsafe(24)
        with self._lock:
            self._jobs[request_token] = job or Job()
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.audience}/_github/id-token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": request_token,
        }

    def id_token(self, job: Job | None = None, *, audience: str | None = None, lifetime: float = 5 * _MINUTES) -> str:
        """A proof of who a job is, for one audience."""
        now = int(time.time())
        facts = {"iss": ISSUER, "aud": audience or self.audience, "iat": now, "exp": now + lifetime}
        return self._signed({**(job or Job()).claims(), **facts, "jti": secrets.token_hex(16)})

    def job_of(self, authorization: str) -> Job | None:
        """The job that asks for a proof."""
        return self._jobs.get(authorization.removeprefix("Bearer ").strip())

    # What the Hub does

    def exchange(self, id_token: str, resource: str) -> str | None:
        """A token for a resource, if it trusts the job; why it does not, nobody is told."""
        claims = self._verified(id_token)
        if claims is None or claims["aud"] != self.audience or claims["exp"] < time.time():
            return None
        job = Job.of(claims)
        with self._lock:
            trusted = [one for one in self._publishers if one.resource == resource and one.job.describes(job)]
        if not trusted:
            return None
        expires = time.time() + self.lifetime
        facts = {"sub": resource, "exp": expires, "jti": secrets.token_hex(16)}
        kind = "jwt" if "/" in resource else "oauth"
        token = f"hf_{kind}_{self._signed(facts)}"
        known = self.access.named(resource) if kind == "oauth" else User(AUTHOR, token)
        if known is None:
            return None
        role: Role = "read" if kind == "oauth" or trusted[0].read_only else "write"
        self.access.add(replace(known, token=token, role=role, scopes=(), resource=resource, expires=expires))
        return token

    def _signed(self, claims: Mapping[str, Any]) -> str:
        head = _packed(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        text = f"{head}.{_packed(json.dumps(claims).encode())}"
        return f"{text}.{self._signature(text)}"

    def _signature(self, text: str) -> str:
        return _packed(hmac.new(self._key, text.encode(), hashlib.sha256).digest())

    def _verified(self, token: str) -> dict[str, Any] | None:
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(text), signature):
            return None
        claims: dict[str, Any] = json.loads(_unpacked(text.partition(".")[2]))
        return claims


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
