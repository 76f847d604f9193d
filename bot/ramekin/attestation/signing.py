"""Signing a merge: with a key of an elliptic curve in a file, or without a key by the identity of a CI job."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.atomic import write_atomically
from ramekin.attestation.statement import ATTESTATION, Statement
from ramekin.environment import PASSPHRASE, Secret
from ramekin.errors import DamagedError, Problem, PublishError, RamekinError, UsageError
from ramekin.report import Report, read_report
from ramekin.subject import MergedDirectory
from ramekin.text import printable
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.attestation.library import SigningConfig

_AUDIENCE: Final = "sigstore"
_GIVE_IT: Final = "give the job `permissions: id-token: write`, or sign with a key"
_MAKE_KEY: Final = "make one with `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`"


@dataclass(frozen=True)
class Signer:
    """Whoever vouches for a merge.

    Attributes:
        by: The key's file, or what the identity is from, for messages.
    """

    by: str
    _config: "Callable[[], SigningConfig]"

    def write(self, directory: Path, report: Report) -> Path:
        """Sign what a report says, and write the attestation into its directory, in the place of an older one.

        Raises:
            PublishError: Whoever signs is not to be reached, or refuses.
        """
        from ramekin.attestation.library import sign

        with tempfile.TemporaryDirectory(prefix="ramekin-sign-") as temporary:
            bundle = Path(temporary) / "bundle.json"
            try:
                sign(self._config(), Statement.of(report), bundle)
            except (RamekinError, MemoryError):
                raise
            except Exception as error:  # the library raises what it likes
                raise PublishError(
                    f"the merge could not be signed by {self.by}: {_first_line(error)}",
                    "check the connection, then run the same command again",
                ) from error
            write_atomically(directory / ATTESTATION, bundle.read_bytes())
        return directory / ATTESTATION


def signer_for(bench: Workbench, key: Path | None, *, keyless: bool) -> Signer | None:
    """Whoever the command line names; None if nobody is to sign.

    Raises:
        UsageError: They cannot sign.
    """
    if key and keyless:
        raise UsageError("a merge is signed with a key or without one", "leave out one of the two")
    if key:
        return key_signer(key, bench.environment.passphrase)
    return keyless_signer(bench) if keyless else None


def key_signer(path: Path, passphrase: Secret | None) -> Signer:
    """Whoever has a private key.

    Args:
        path: The key, as PEM.
        passphrase: What it is encrypted with, if it is.

    Raises:
        UsageError: It cannot be read, or is no key that can sign.
    """
    library = needed()
    shown = printable(path, 200)
    secret = passphrase.reveal().encode() if passphrase else None
    try:
        # Bytes, whatever the library's annotation says: it hands them on to one that takes nothing else.
        config = library().use_elliptic_key_signer(private_key=path, password=secret)  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror or 'cannot be read'}", _MAKE_KEY) from error
    except TypeError as error:  # it is encrypted, or a passphrase was given and it is not
        if passphrase is None:
            raise UsageError(f"{shown}: the key has a passphrase", f"give it in {PASSPHRASE}") from error
        raise UsageError(f"{shown}: the key has no passphrase", f"unset {PASSPHRASE}") from error
    except Exception as error:  # the library raises what it likes for what is no key
        if "password" in str(error).lower():
            raise UsageError(f"{shown}: the passphrase is not the key's", f"check {PASSPHRASE}") from error
        raise UsageError(f"{shown}: is no private key of an elliptic curve (P-256, P-384, P-521)", _MAKE_KEY) from error
    return Signer(f"the key {shown}", lambda: config)


def keyless_signer(bench: Workbench) -> Signer:
    """The CI job itself: Sigstore certifies who it is, by a token that its runner makes when the merge is signed.

    Raises:
        UsageError: Nothing here makes such a token.
    """
    library = needed()
    from sigstore.oidc import detect_credential

    from ramekin.trust.exchange import Exchange

    identity = bench.environment.identity
    if identity.address and identity.request_token:
        exchange = Exchange(bench.environment, bench.terminal.hide, PublishError)

        def token() -> str | None:
            return exchange.proof_for("Sigstore", _AUDIENCE).reveal()

    elif _detected(detect_credential):
        token = detect_credential
    else:
        raise UsageError("no identity to sign with: this is no job that may ask for a proof of who it is", _GIVE_IT)
    return Signer("Sigstore", lambda: library().use_sigstore_signer(identity_token=token()))


def _detected(detect: Callable[[], str | None]) -> bool:
    """Whether the library knows this CI, and it lets the job prove who it is."""
    try:
        return bool(detect())
    except Exception as error:
        raise UsageError(f"no identity to sign with: {_first_line(error)}", _GIVE_IT) from error


def sign_directory(directory: Path, signer: Signer) -> Report:
    """Sign a merged directory, after comparing every file of it with its digest.

    Raises:
        DamagedError: It is not as its report has it.
    """
    report = read_report(directory)
    wrong = MergedDirectory(str(directory), report, directory).wrong()
    if wrong:
        raise DamagedError(
            problems=[
                Problem(f"{printable(directory, 200)}: {printable(name)}: {what}", "merge again; nothing was signed")
                for name, what in wrong.items()
            ]
        )
    signer.write(directory, report)
    return report


def needed() -> "Callable[[], SigningConfig]":
    """What makes signers.

    Raises:
        UsageError: The library that signs is not installed.
    """
    try:
        from ramekin.attestation.library import SigningConfig
    except ModuleNotFoundError as error:
        raise UsageError(f"signing needs {error.name}", "install `ramekin[sign]`") from error
    return SigningConfig


def _first_line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0], 200)
