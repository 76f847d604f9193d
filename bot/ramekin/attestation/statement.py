"""What an attestation says, and of which files. Light: nothing here needs the library that signs.

It is a statement of the OpenSSF Model Signing specification: an in-toto statement with the path and sha256 of every
file, in a DSSE envelope, in a Sigstore bundle. Its subject is the merge's key. Among the files is the lock, which holds
the key and the digest of every source, so that whoever signs the files signs both. Card, plots, report, manifest and
the card's template are not among them: new card texts change these, and nothing else.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ramekin.errors import DamagedError
from ramekin.report import (
    CARD_TEMPLATE,
    MANIFEST_COPY,
    REPORT_NAME,
    Report,
)

ATTESTATION: Final = "ramekin/attestation.json"

UNSIGNED: Final = (
    ".cache",
    ".eval_results",
    ".git",
    ".gitattributes",
    "README.md",
    ATTESTATION,
    CARD_TEMPLATE,
    MANIFEST_COPY,
    "ramekin/plots",
    REPORT_NAME,
)
"""Files, and directories with all that is in them, that a merge may have beside what is signed."""

MOST_BYTES: Final = 64 << 20
_PAYLOAD: Final = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Statement:
    """What is signed.

    Attributes:
        key: Key of the merge.
        files: sha256 in hex by path.
    """

    key: str
    files: Mapping[str, str]

    @classmethod
    def of(cls, report: Report) -> "Statement":
        """What can be signed of a merge: everything that its report lists, but the manifest and the card's template."""
        files = report.output.files.items()
        return cls(report.key, {name: record.sha256 for name, record in files if name not in UNSIGNED})


@dataclass(frozen=True)
class Bundle:
    """An attestation as it lies there; nothing of it is to be believed before its signature is checked.

    Attributes:
        statement: What it says.
        key: sha256 of the public key that it claims to be checked with; None where it has a certificate instead.
    """

    statement: Statement
    key: str | None


def lies_in(directory: Path, report: Report) -> bool:
    """Whether a merged directory has an attestation.

    Raises:
        DamagedError: It has one of something else.
    """
    path = directory / ATTESTATION
    if not path.is_file():
        return False
    try:
        fits = read_bundle(path.read_bytes()).statement == Statement.of(report)
    except ValueError:
        fits = False
    if not fits:
        raise DamagedError(f"{path}: is not of this merge", "sign it again with `ramekin sign`, or delete the file")
    return True


def needs_signature(name: str) -> bool:
    """Whether a file that lies beside a merge has to be in its attestation, as all do that loading could read."""
    return not any(name == each or name.startswith(f"{each}/") for each in UNSIGNED)


def read_bundle(content: bytes) -> Bundle:
    """Read an attestation.

    Raises:
        ValueError: It is none.
    """
    try:
        bundle = json.loads(content)
        envelope = bundle["dsseEnvelope"]
        if envelope["payloadType"] != _PAYLOAD:
            raise ValueError("its payload is no in-toto statement")
        statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
        if len(statement["subject"]) != 1:
            raise ValueError("it is of several models")
        subject = statement["subject"][0]
        resources = statement["predicate"]["resources"]
        files = {str(each["name"]): _sha256(each) for each in resources}
        if len(files) != len(resources):
            raise ValueError("it names a file twice")
        hint = (bundle["verificationMaterial"].get("publicKey") or {}).get("hint")
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is not made like one") from error
    return Bundle(Statement(str(subject["name"]), files), str(hint) if hint else None)


def _sha256(resource: Mapping[str, Any]) -> str:
    if resource["algorithm"] != "sha256":
        raise ValueError("it has digests other than sha256")
    return str(resource["digest"])
