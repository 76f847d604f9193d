"""A source that lives in memory: files by name, read in ranges, digests as the Hub has them."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import save

from ramekin.checkpoint.facts import CheckpointFacts, SmallFiles, read_checkpoint
from ramekin.checkpoint.selection import files_to_read


@dataclass(frozen=True)
class MemoryFile:
    size: int
    digest: str


@dataclass
class MemorySource:
    """Files; what is not bytes is written as JSON."""

    contents: dict[str, Any]
    digest_kind: str = "sha256"
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = {
            name: value
            if isinstance(value, bytes)
            else (value if isinstance(value, str) else json.dumps(value)).encode()
            for name, value in self.contents.items()
        }

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(content) for name, content in self.files.items()}

    def read(self, file: str, start: int, stop: int) -> bytes:
        self.asked.append(file)
        return self.files[file][start:stop]

    @property
    def digests(self) -> dict[str, str]:
        return {
            name: f"{self.digest_kind}:{hashlib.sha256(self.digest_kind.encode() + content).hexdigest()}"
            for name, content in self.files.items()
        }

    def small(self) -> SmallFiles:
        return SmallFiles(self.digests, "org/name", lambda name: self.read(name, 0, len(self.files[name])))

    def facts(self, role: str = "base") -> CheckpointFacts:
        names = files_to_read(self.files, "base" if role == "base" else "expert")
        pinned = {name: MemoryFile(len(self.files[name]), self.digests[name]) for name in names}
        return read_checkpoint(self.read, pinned, role=role, source="org/name")


def weights(**shapes: tuple[int, ...]) -> bytes:
    """A safetensors file of float32 zeros; a dot is written as two underscores."""
    return save({name.replace("__", "."): np.zeros(shape, np.float32) for name, shape in shapes.items()})


def index(**places: str) -> dict[str, Any]:
    return {
        "metadata": {"total_size": 1},
        "weight_map": {name.replace("__", "."): file for name, file in places.items()},
    }
