"""The process environment, read here and nowhere else."""

import math
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ramekin.concealing import conceal
from ramekin.errors import Problem, UsageError
from ramekin.jobs.asked import Asked
from ramekin.secret import Secret, can_be_sent
from ramekin.text import printable
from ramekin.trust.asked import VARIABLES, Identity
from ramekin.webhook.asked import VARIABLES as WEBHOOK_VARIABLES
from ramekin.webhook.asked import Asked as AskedOfWebhooks

__all__ = [
    "PASSPHRASE",
    "Environment",
    "Identity",
    "Processes",
    "Secret",
    "bare_environment",
    "tokenless_environment",
    "withdraw_tokens",
]

_TOKEN_VARIABLES: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
PASSPHRASE: Final = "RAMEKIN_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
_LONGEST_WAIT: Final = 600
_LAUNCHERS: Final = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
_HARMLESS: Final = frozenset(
    {"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ"}
    | {f"{library}_NUM_THREADS" for library in ("MKL", "OMP", "OPENBLAS")}
)
# What only this process has a use for: tokens and what they are got with, files that later steps of a job obey, and
# what a launcher has said, since a child is no part of its team.
_OURS: Final = (
    r"HF_(API_)?TOKEN|HUGGING_?FACE_(HUB_)?(API_)?TOKEN|HF_TOKEN_PATH|HF_STORED_TOKENS_PATH|HF_OIDC_.*|RAMEKIN_OIDC_.*|RAMEKIN_KEY_.*|"
    r"(GITHUB|GH)_(ENTERPRISE_)?TOKEN|GITHUB_(ENV|PATH|OUTPUT|STATE|STEP_SUMMARY)|ACTIONS_.*|INPUT_.*|"
    r"((LOCAL|GROUP|ROLE)_)?(RANK|WORLD_SIZE)|LOCAL_WORLD_SIZE|MASTER_(ADDR|PORT)|TORCHELASTIC_.*|ACCELERATE_.*|"
    r"(OMPI|PMIX?|MPI)_.*"
)
_TRUE: Final = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True)
class Processes:
    """How many processes a launcher has started, and which of them this is.

    Attributes:
        rank: This process among all; 0 leads.
        count: All.
        place: This process among those on its machine.
        neighbours: Those on its machine, this one included.
    """

    rank: int = 0
    count: int = 1
    place: int = 0
    neighbours: int = 1

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Processes":
        """What torchrun and `accelerate launch`, or an MPI launcher, have said; one alone if that makes no sense."""
        for rank, count, place, neighbours in _LAUNCHERS:
            values = [env.get(name, "") for name in (rank, count, place, neighbours)]
            if all(value.isdecimal() for value in values):
                found = cls(*map(int, values))
                if found.rank < found.count and found.place < found.neighbours <= found.count:
                    return found
        return cls()


@dataclass(frozen=True)
class Environment:
    """What the environment says, resolved once.

    Attributes:
        endpoint: The Hub's address, without a trailing slash.
        token: The Hub token given by variable, if any.
        home: `HF_HOME`; ramekin keeps downloads and unfinished work in `home/ramekin`.
        offline: Nothing may be asked of the network.
        ci: A continuous-integration job: a checkout is left as it was.
        github_actions: Running as a step of GitHub Actions.
        color: Whether colour may be used at all.
        client_talks: The Hub's client was told by `HF_HUB_VERBOSITY` or `HF_DEBUG` how much to log.
        retry_wait: Seconds before the first repetition of a call that failed; doubled each time.
        processes: The processes that a launcher has started.
        identity: What the job can prove who it is with, for trusted publishing.
        hub_cache: `HF_HUB_CACHE`, where the Hub client's own downloads are if not in `home/hub`.
        passphrase: What the private key that signs is encrypted with, if it is.
        anonymous: Whether the Hub is read without any token, a stored login included.
        namespaces: `RAMEKIN_ALLOWED_NAMESPACES`, where it is set: the namespaces that may be written to.
        jobs: What is asked for of jobs on the Hub.
        webhook: What the receiver of webhooks works with.
    """

    endpoint: str
    token: Secret | None
    home: Path
    offline: bool
    ci: bool
    github_actions: bool
    color: bool
    client_talks: bool = False
    retry_wait: float = 1.0
    hub_cache: Path | None = None
    passphrase: Secret | None = None
    namespaces: str | None = None
    anonymous: bool = False
    processes: Processes = field(default_factory=Processes)
    identity: Identity = field(default_factory=Identity)
    jobs: Asked = field(default_factory=Asked)
    webhook: AskedOfWebhooks = field(default_factory=AskedOfWebhooks)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no output may show."""
        known = (
            self.token,
            self.identity.id_token,
            self.identity.request_token,
            self.passphrase,
            *self.webhook.secrets,
        )
        return tuple(secret.reveal() for secret in known if secret)

    @property
    def cache(self) -> Path:
        """The Hub client's own downloads."""
        return self.hub_cache or self.home / "hub"

    @property
    def state(self) -> Path:
        """Directory for ramekin's own downloads and unfinished work."""
        return self.home / "ramekin"

    @property
    def measured(self) -> Path:
        """Directory for what was measured of models."""
        return self.state / "measured"

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> "Environment":
        """Read the environment; the real one unless `variables` are given."""
        env = os.environ if variables is None else variables
        home = env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        named = next(filter(None, map(env.get, _TOKEN_VARIABLES)), None)
        return cls(
            endpoint=(env.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"),
            token=Secret(named.strip()) if named else None,
            home=Path(home).expanduser(),
            offline=_truth(env.get("HF_HUB_OFFLINE")) or _truth(env.get("TRANSFORMERS_OFFLINE")),
            ci=_truth(env.get("CI")),
            github_actions=_truth(env.get("GITHUB_ACTIONS")),
            color=not env.get("NO_COLOR"),
            client_talks=bool(env.get("HF_HUB_VERBOSITY") or env.get("HF_DEBUG")),
            retry_wait=_seconds(env.get("RAMEKIN_RETRY_WAIT") or "1"),
            hub_cache=Path(env["HF_HUB_CACHE"]).expanduser() if env.get("HF_HUB_CACHE") else None,
            processes=Processes.read(env),
            namespaces=(env.get("RAMEKIN_ALLOWED_NAMESPACES") or "").strip() or None,
            identity=Identity.read(env, github=_truth(env.get("GITHUB_ACTIONS"))),
            passphrase=Secret(env[PASSPHRASE]) if env.get(PASSPHRASE) else None,
            jobs=Asked.read(env),
            webhook=AskedOfWebhooks.read(env),
        )

    def check(self) -> None:
        """Refuse what no command can work with.

        Raises:
            UsageError: A variable has a value that it cannot have; with every such variable.
        """
        problems = []
        if not _is_address(self.endpoint):
            # Not shown: an address may hold a password.
            problems.append(Problem("HF_ENDPOINT is no address of a server", "write it as `https://host`, or unset it"))
        if self.token and not can_be_sent(self.token.reveal()):
            problems.append(Problem("the token has characters that no token has", "copy it again into HF_TOKEN"))
        problems += self.identity.problems()
        if self.home.is_file():
            what = f"HF_HOME is `{printable(self.home, 200)}`, which is a file"
            problems.append(Problem(what, "name a directory, or unset it"))
        if not 0 <= self.retry_wait <= _LONGEST_WAIT:
            what = f"RAMEKIN_RETRY_WAIT is no number of seconds from 0 to {_LONGEST_WAIT}"
            problems.append(Problem(what, "write such as `0.5`, or unset it"))
        if problems:
            raise UsageError(problems=problems)


def withdraw_tokens(variables: MutableMapping[str, str] | None = None) -> None:
    """Take what is secret out of the environment, so that no child process and no dump of it can show it.

    So is what trusted publishing is asked for with, secret or not: the Hub's client, and whatever else uses it, would
    make an exchange of its own, and send the token that may write wherever it reads.
    """
    env = os.environ if variables is None else variables
    names = (*_TOKEN_VARIABLES, *VARIABLES, *WEBHOOK_VARIABLES, PASSPHRASE)
    for name in names:
        env.pop(name, None)
    if env is os.environ:
        conceal(names)


def bare_environment(home: Path) -> dict[str, str]:
    """What a child process gets that reads what strangers wrote: nothing secret, and word to stay off the network.

    Args:
        home: Directory for what libraries want to write.
    """
    kept = {name: value for name, value in os.environ.items() if name in _HARMLESS}
    own = dict.fromkeys(("HOME", "HF_HOME", "TMPDIR"), str(home))
    # On the processor, whatever else there is.
    return kept | own | dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), "1") | {"CUDA_VISIBLE_DEVICES": ""}


def tokenless_environment(
    hidden: Iterable[str], nowhere: Path, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a child process gets that runs models, data and code that are not ours: all but what is secret.

    It reads what anybody may, and the machine's caches. A token would not be safe with it: a task may run what a model
    writes, and the Hub's client sends a token that it finds to wherever it is told to read. So there is none in its
    environment, under any name, and the client is told not to look for the one that `hf auth login` has stored.

    Args:
        hidden: Values that must not be passed on, whatever the variable is called.
        nowhere: A path at which there is no file, in a directory without any.
        variables: What to take it from; the real environment if left out.
    """
    secrets = [value for value in hidden if len(value) > 5]
    env = os.environ if variables is None else variables
    kept = {
        name: value
        for name, value in env.items()
        if not re.fullmatch(_OURS, name, re.IGNORECASE) and not any(secret in value for secret in secrets)
    }
    return kept | {"HF_TOKEN_PATH": str(nowhere), "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}


def _truth(value: str | None) -> bool:
    return (value or "").strip().lower() in _TRUE


def _seconds(value: str) -> float:
    """A number of seconds; not a number where it is none, which `Environment.check` refuses."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def _is_address(value: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        return False
