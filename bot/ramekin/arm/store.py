"""Saliencies that were traced before, so that a merge that is made again traces only what changed.

Each is a safetensors file named by the digest of all that decides it: the model's weights, the token ids and the role's
positions, the element type, and how this version traces.
"""

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
from ramekin.digests import json_digest

SEMANTICS: Final = 1
"""Version of what is traced and how: another finds nothing of what this one left."""


def reading_digest(texts: Sequence[Text], role: str) -> str:
    """Digest of what is read for a role, and of the role in it; the order of the texts is no part of it."""
    positions = ((text, text.roles[role]) for text in texts if role in text.roles)
    return json_digest(sorted(json_digest([text.ids[: at[-1] + 1], at]) for text, at in positions))


def saliency_key(model: str, reading: str, dtype: str) -> str:
    """Digest of all that a saliency depends on.

    Args:
        model: Digest of the model's weights and config.
        reading: What `reading_digest` gives.
        dtype: Element type that the model is run in.
    """
    return json_digest({"semantics": SEMANTICS, "model": model, "dtype": dtype, "reading": reading})


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
            found = load_bytes(self._path(key).read_bytes())
        except (OSError, SafetensorError):
            return None
        if sorted(found) != [_name(number) for number in range(len(widths))]:
            return None
        layers = [found[name] for name in sorted(found)]
        whole = all(
            layer.shape == (width,) and layer.dtype == np.float32 and np.isfinite(layer).all()
            for layer, width in zip(layers, widths, strict=True)
        )
        return layers if whole else None

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
