"""Merged directories that nobody merged, and keys to sign them with."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ramekin.lock.key import merge_key
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.reading import read_manifest
from ramekin.methods.base import SEMANTICS
from ramekin.methods.ram import Overlap
from ramekin.records import FileRecord, report_overlap
from ramekin.report import LOCK_COPY, MANIFEST_COPY, Report, ReportedExpert, ReportedOutput, ReportedSource
from ramekin.subject import MergedDirectory

SOURCES = "base: org/base\nexperts:\n  coder: org/coder\n  tool: org/tool\n"
TEXT = "version: 1\n" + SOURCES + "method:\n  name: ram+\noutput:\n  repo: {}\n"


def finished(directory: Path, *, repo: str = "org/agent", weights: bytes = b"weights") -> Path:
    """A directory as a merge leaves it, with weights that are none."""
    (directory / "ramekin/plots").mkdir(parents=True)
    (directory / MANIFEST_COPY).write_text(TEXT.format(repo))
    manifest = read_manifest(directory / MANIFEST_COPY).manifest
    pins = [
        PinnedSource(
            source=f"org/{name}", kind="hub", commit=f"{n}" * 40, files={"m": PinnedFile(size=1, sha256=f"{n}" * 64)}
        )
        for n, name in enumerate(("base", "coder", "tool"))
    ]
    experts = {"coder": pins[1], "tool": pins[2]}
    key = merge_key(manifest, pins[0], experts, {})
    lock = Lock(schema_version=1, key=key, semantics=SEMANTICS, base=pins[0], experts=experts)
    (directory / LOCK_COPY).write_text(lock.to_json())
    (directory / "model.safetensors").write_bytes(weights)
    (directory / "config.json").write_text("{}")
    (directory / "README.md").write_text("# A card\n")
    (directory / "ramekin/plots/overlap.svg").write_text("<svg/>")
    files = {name: record(directory / name) for name in ("config.json", "model.safetensors", LOCK_COPY, MANIFEST_COPY)}
    base, *others = (ReportedSource(source=pin.source, commit=pin.commit) for pin in pins)
    report = Report(
        schema_version=1,
        key=key,
        ramekin="0.1.0",
        method=manifest.method,
        base=base,
        experts=tuple(
            ReportedExpert(name=name, **other.model_dump()) for name, other in zip(experts, others, strict=True)
        ),
        overlap=report_overlap(Overlap((4, 3, 2, 1)), ("coder", "tool"), (1.0, 1.0)),
        texts=manifest.card.digest,
        output=ReportedOutput(repo=repo, files=files),
    )
    (directory / "ramekin/report.json").write_text(report.to_json())
    return directory


def record(path: Path) -> FileRecord:
    """Size and digest of a file."""
    content = path.read_bytes()
    return FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def subject_of(directory: Path) -> MergedDirectory:
    """The directory as `verify` sees it."""
    report = Report.model_validate_json((directory / "ramekin/report.json").read_bytes())
    return MergedDirectory(str(directory), report, directory)


def rewrite_report(directory: Path, **changes: object) -> None:
    """Let the report say something else, and all that it lists be as it says."""
    path = directory / "ramekin/report.json"
    data = json.loads(path.read_text())
    data["output"]["files"] = {
        name: record(directory / name).model_dump() for name in data["output"]["files"] if (directory / name).is_file()
    }
    path.write_text(json.dumps(data | changes))


@dataclass(frozen=True)
class Pair:
    """A private key and its public one, as files."""

    private: Path
    public: Path


def make_keys(
    directory: Path, name: str = "key", *, passphrase: str = "", curve: ec.EllipticCurve | None = None
) -> Pair:
    """A new pair of keys."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.pub")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pair.private.write_bytes(key.private_bytes(pem, form, locked))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    pair.public.write_bytes(key.public_key().public_bytes(pem, public))
    return pair
