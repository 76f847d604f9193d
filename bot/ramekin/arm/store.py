"""Saliencies that were traced before, so that a merge that is made again traces only what changed.

Each is a safetensors file named by the digest of all that decides it: the model's weights, the token ids and the role's
positions, the element type, and how this version traces.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from ramekin.arm.saliency import Floats
from ramekin.arm.tracing import Text
from ramekin.atomic import write_atomically

SEMANTICS: Final = 1
"""Version of what is traced and how: another finds nothing of what this one left."""


def saliency_key(model: str, texts: Sequence[Text], role: str, dtype: str) -> str:
    """Digest of all that a saliency depends on; the order of the texts is not among it.

    Args:
        model: Digest of the model's weights and config.
        texts: What it reads.
        role: The role whose tokens count.
        dtype: Element type that it is run in.
    """
    read = sorted(
        hashlib.sha256(json.dumps([text.ids[: text.roles[role][-1] + 1], text.roles[role]]).encode()).hexdigest()
        for text in texts
        if role in text.roles
    )
    content = {"semantics": SEMANTICS, "model": model, "dtype": dtype, "texts": read}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class SaliencyStore:
    """Saliencies in a directory.

    Args:
        directory: Made when something is kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str, widths: Sequence[int]) -> list[Floats] | None:
        """What was kept, `[f]` for each layer; None if there is nothing, or not what it should be."""
        try:
            content = self._path(key).read_bytes()
            found = load_bytes(content)
        except (OSError, SafetensorError):
            return None
        layers = [found.get(_name(number)) for number in range(len(widths))]
        if len(found) != len(widths):
            return None
        whole = [
            layer
            for layer, width in zip(layers, widths, strict=True)
            if layer is not None and layer.shape == (width,) and layer.dtype == np.float32 and np.isfinite(layer).all()
        ]
        return whole if len(whole) == len(widths) else None

    def put(self, key: str, layers: Sequence[Floats], about: dict[str, str]) -> None:
        """Keep a saliency.

        Args:
            key: What `saliency_key` gives.
            layers: `[f]` for each layer.
            about: What it is of, for people who look into the file.

        Raises:
            ResourceError: The disk is full.
        """
        tensors = {_name(number): layer for number, layer in enumerate(layers)}
        write_atomically(self._path(key), save_bytes(tensors, about))

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.safetensors"


def _name(number: int) -> str:
    return f"layer.{number:04}"
