"""Merged directories, made of next to nothing."""

import hashlib
import shutil
from pathlib import Path

from ramekin.lock.model import CardFacts, Lock, PinnedFile, PinnedSource
from ramekin.manifest.reading import read_manifest
from ramekin.methods import RamPlus
from ramekin.methods.ram import Overlap
from ramekin.records import FileRecord, report_overlap
from ramekin.report import Report, ReportedExpert, ReportedOutput, ReportedSource

EXPERTS = ("coder", "tool", "memory")
KEY = "sha256:" + "ab" * 32
CONTENT = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}\n',
    "tokenizer.json": b"{}\n",
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
}


def _pinned(source: str) -> PinnedSource:
    files = {"model.safetensors": PinnedFile(size=1, sha256="0" * 64)}
    card = CardFacts(license="apache-2.0", language=("en",), pipeline_tag="text-generation")
    return PinnedSource(source=source, kind="hub", commit="a" * 40, card=card, files=files)


def manifest_text(repo: str, more: str = "", card: str = "") -> str:
    """A manifest for a repository, with more keys below `output`."""
    experts = "".join(f"  {name}: demo/{name}\n" for name in EXPERTS)
    return (
        f"version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: ram+\noutput:\n  repo: {repo}\n{more}{card}"
    )


def lock_of(key: str) -> Lock:
    """A lock of that key, whose sources nobody has."""
    experts = {name: _pinned(f"demo/{name}") for name in EXPERTS}
    return Lock(schema_version=1, key=key, semantics=1, base=_pinned("demo/base"), experts=experts)


def place(directory: Path, manifest: str, lock: Lock) -> None:
    """Write a merge."""
    shutil.rmtree(directory, ignore_errors=True)
    content = CONTENT | {"ramekin/merge.yaml": manifest.encode(), "ramekin/merge.lock": lock.to_json().encode()}
    for name, data in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    overlap = Overlap((500, 100, 90, 20, 80, 10, 15, 5))
    files = {
        name: FileRecord(size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in content.items()
    }
    loaded = read_manifest(directory / "ramekin/merge.yaml").manifest
    report = Report(
        schema_version=1,
        key=lock.key,
        ramekin="0.1.0",
        method=RamPlus(),
        base=ReportedSource(source="demo/base", commit="a" * 40, license="apache-2.0"),
        experts=tuple(
            ReportedExpert(name=name, source=f"demo/{name}", commit="a" * 40, license="apache-2.0") for name in EXPERTS
        ),
        overlap=report_overlap(overlap, EXPERTS, RamPlus().lambdas(overlap)),
        texts=loaded.card.digest,
        output=ReportedOutput(repo=loaded.output.repo, files=files),
    )
    (directory / "ramekin/report.json").write_text(report.to_json())
    (directory / "ramekin/plots").mkdir()
    (directory / "ramekin/plots/overlap.svg").write_text("<svg/>\n")
    (directory / "README.md").write_text(f"---\nlicense: mit\ntags:\n- merge\n---\n# {loaded.card.title}\n")
