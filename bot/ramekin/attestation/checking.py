"""Checking an attestation: the signature, that it covers exactly what is there, and that all is of one merge."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ramekin.attestation.statement import ATTESTATION, MOST_BYTES, Bundle, Statement, needs_signature, read_bundle
from ramekin.errors import RamekinError, SourceError, UsageError
from ramekin.lock.file import read_lock
from ramekin.lock.key import merge_key
from ramekin.lock.model import Lock
from ramekin.manifest.reading import read_manifest
from ramekin.methods.base import SEMANTICS
from ramekin.report import (
    LOCK_COPY,
    MANIFEST_COPY,
    REPORT_NAME,
    Report,
    ReportedSource,
)
from ramekin.subject import Subject
from ramekin.text import printable

if TYPE_CHECKING:
    from ramekin.attestation.library import VerifyingConfig

_SHOWN: Final = 16


@dataclass(frozen=True)
class Attested:
    """What an attestation came to.

    Attributes:
        by: Whose signature it is, or claims to be.
        checked: Whether it was checked.
        files: Number of files that it covers.
        wrong: What is wrong, by file; nothing if it was not checked, or is good.
    """

    by: str
    checked: bool
    files: int
    wrong: Mapping[str, str] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"checked": self.checked, "by": self.by, "files": self.files, "wrong": dict(self.wrong)}


@dataclass(frozen=True)
class Trust:
    """Whose signature is wanted.

    Attributes:
        by: The key, or the identity, for messages.
    """

    by: str
    _config: "Callable[[], VerifyingConfig]"

    def accepts(self, statement: Statement, path: Path) -> bool:
        """Whether a bundle, whose signature must be theirs, is of this statement.

        Raises:
            Exception: The signature is another's; the library raises what it likes.
        """
        from ramekin.attestation.library import verify

        with contextlib.redirect_stdout(io.StringIO()):  # where the library warns, which is the result's place
            return verify(self._config(), statement, path)


def key_trust(path: Path) -> Trust:
    """Trust in whoever has the private key to a public one.

    Raises:
        UsageError: It cannot be read, or is no public key.
    """
    library = _needed()
    shown = printable(path, 200)
    try:
        config = library().use_elliptic_key_verifier(public_key=path)
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror or 'cannot be read'}", "name a public key") from error
    except Exception as error:  # the library raises what it likes for what is no key
        raise UsageError(
            f"{shown}: is no public key of an elliptic curve (P-256, P-384, P-521)",
            "write it with `openssl ec -in key.pem -pubout -out key.pub`",
        ) from error
    return Trust(f"the key {shown}", lambda: config)


def identity_trust(identity: str, issuer: str) -> Trust:
    """Trust in an identity that Sigstore vouches for.

    Args:
        identity: Whom its certificate must name, such as the address of a workflow.
        issuer: Who must have told Sigstore so.

    Raises:
        UsageError: The library that checks is not installed.
        SourceError: Sigstore's own keys cannot be had.
    """
    library = _needed()
    try:
        config = library().use_sigstore_verifier(identity=identity, oidc_issuer=issuer)
    except Exception as error:  # the library raises what it likes
        reason = printable((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise SourceError(f"Sigstore's keys cannot be had: {reason}", "check the connection") from error
    return Trust(printable(identity, 200), lambda: config)


def claimed(subject: Subject) -> Attested | None:
    """What a merge's attestation claims; None where it has none that can be read."""
    bundle = _bundle(subject)
    if not isinstance(bundle, Bundle):
        return None
    by = f"a key, {printable(bundle.key[:_SHOWN])}" if bundle.key else "an identity"
    return Attested(by, checked=False, files=len(bundle.statement.files))


def check_attestation(subject: Subject, trust: Trust) -> Attested:
    """Check the attestation of a merge whose files were compared with its report already."""
    bundle = _bundle(subject)
    if not isinstance(bundle, Bundle):
        return Attested(trust.by, checked=True, files=0, wrong={ATTESTATION: bundle})
    statement = Statement.of(subject.report)
    try:
        same = trust.accepts(statement, subject.directory / ATTESTATION)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises what it likes for what is not signed as it should be
        what = f"is not signed by {trust.by}{_because(error)}"
        return Attested(trust.by, checked=True, files=0, wrong={ATTESTATION: what})
    wrong = dict(_differences(bundle.statement, statement))
    if not same and not wrong:
        wrong[ATTESTATION] = "says something else than the report"
    unsigned = subject.names() - bundle.statement.files.keys()
    wrong |= {name: "is not signed" for name in sorted(unsigned) if needs_signature(name)}
    wrong |= _other_merge(subject, wrong)
    return Attested(trust.by, checked=True, files=len(bundle.statement.files), wrong=wrong)


def _bundle(subject: Subject) -> Bundle | str:
    """The attestation, or what is wrong with it."""
    path = subject.directory / ATTESTATION
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(content) > MOST_BYTES:
        return "is too large"
    try:
        return read_bundle(content)
    except ValueError as error:
        return f"is no attestation: {printable(str(error), 100)}"


def _because(error: Exception) -> str:
    """Why a signature is not good, where the library says so in words: it does not for one that is merely wrong."""
    line = printable((str(error).splitlines() or [""])[0], 160)
    if line.startswith("Key mismatch"):
        return ", but by another"
    return f": {line}" if line else ", or was changed since"


def _differences(signed: Statement, reported: Statement) -> Iterator[tuple[str, str]]:
    if signed.key != reported.key:
        yield ATTESTATION, f"is of another merge, {printable(signed.key)}"
    for name in sorted(signed.files.keys() | reported.files.keys()):
        if name not in signed.files:
            yield name, "is not signed"
        elif name not in reported.files:
            yield name, "is signed, and no part of the merge"
        elif signed.files[name] != reported.files[name]:
            yield name, "is not what was signed"


def _other_merge(subject: Subject, wrong: Mapping[str, str]) -> dict[str, str]:
    """Hold what is not signed itself, report and manifest, against the lock, which is."""
    if LOCK_COPY in wrong:
        return {}
    try:
        lock = read_lock(subject.directory / LOCK_COPY)
    except RamekinError:
        lock = None
    if lock is None:
        return {LOCK_COPY: "is no lock"}
    found = {}
    if what := _told_otherwise(subject.report, lock):
        found[REPORT_NAME] = what
    if lock.semantics == SEMANTICS and not _is_manifest_of(lock, subject.directory / MANIFEST_COPY):
        found[MANIFEST_COPY] = "is not the manifest of the signed lock"
    return found


def _told_otherwise(report: Report, lock: Lock) -> str:
    if report.key != lock.key:
        return "has another key than the signed lock"
    told: dict[str, ReportedSource] = {"base": report.base} | {f"expert:{each.name}": each for each in report.experts}
    pinned = {role: (source.source, source.commit) for role, source in lock.sources.items()}
    if {role: (source.source, source.commit) for role, source in told.items()} != pinned:
        return "names other sources than the signed lock"
    return ""


def _is_manifest_of(lock: Lock, path: Path) -> bool:
    try:
        manifest = read_manifest(path).manifest
    except RamekinError:
        return False
    return merge_key(manifest, lock.base, lock.experts, lock.data) == lock.key


def _needed() -> "Callable[[], VerifyingConfig]":
    try:
        from ramekin.attestation.library import VerifyingConfig
    except ModuleNotFoundError as error:
        raise UsageError(f"checking a signature needs {error.name}", "install `ramekin[sign]`") from error
    return VerifyingConfig
