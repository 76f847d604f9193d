"""What was measured of models before, so that a merge that is made again traces only what changed.

Each is a safetensors file named by the digest of all that decides it: the model's weights, the token ids and the role's
positions, the element type, the measure where it is not the paper's, and how this version traces.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from ramekin.arm.saliency import Floats
from ramekin.arm.texts import Text
from ramekin.atomic import write_atomically
from ramekin.digests import json_digest
from ramekin.merge.team import Team

SEMANTICS: Final = 1
"""Version of what is traced and how: another finds nothing of what this one left."""


def reading_digest(texts: Sequence[Text], role: str, *, ordered: bool = False, whole: bool = False) -> str:
    """Digest of what is read for a role, and of the role in it.

    Args:
        texts: What is read.
        role: The role.
        ordered: Whether the order of the texts counts.
        whole: Whether it counts how long they are in all, as for models that turn otherwise in longer ones.
    """
    digests = [text_digest(text, role, whole=whole) for text in texts if role in text.roles]
    return json_digest(digests if ordered else sorted(digests))


def text_digest(text: Text, role: str, *, whole: bool = False) -> str:
    """The same of one text that has the role; what the role is contrasted with is part of it."""
    at, weight, against = text.roles[role], text.weights.get(role, 1), text.against.get(role)
    last = max(at[-1], against[-1]) if against else at[-1]
    read: list[object] = [text.ids[: last + 1], at]
    read += [{"against": against}] if against else []
    read += [] if weight == 1 else [weight]
    read += [{"whole": text.whole}] if whole else []
    return json_digest(read)


def prompts_digest(prompts: Sequence[tuple[Sequence[int], str]], judge: str | None, longest: int) -> str:
    """Digest of what is asked, of the recorded answers, and of how answers are judged."""
    return json_digest({"prompts": [[[*ids], answer] for ids, answer in prompts], "judge": judge, "longest": longest})


def saliency_key(
    model: str, reading: str, dtype: str, kind: str = "", measure: Mapping[str, object] | None = None
) -> str:
    """Digest of all that a saliency depends on.

    Args:
        model: Digest of the model's weights and config.
        reading: What `reading_digest` gives.
        dtype: Element type that the model is run in.
        kind: What is measured, if it is no saliency.
        measure: By which measure, as far as that is not the paper's.
    """
    what: dict[str, object] = {"kind": kind} if kind else {}
    what |= {"measure": measure} if measure else {}
    return json_digest({"semantics": SEMANTICS, "model": model, "dtype": dtype, "reading": reading} | what)


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

    def get_values(self, key: str) -> list[float] | None:
        """Numbers that were kept; None if there are none."""
        try:
            found = load_bytes(self._path(key).read_bytes())
        except (OSError, SafetensorError):
            return None
        values = found.get("values")
        return values.tolist() if values is not None and values.dtype == np.float64 and values.ndim == 1 else None

    def put_values(self, key: str, values: Sequence[float], about: dict[str, str]) -> None:
        """Keep numbers.

        Raises:
            ResourceError: The disk is full.
        """
        write_atomically(self._path(key), save_bytes({"values": np.array(values, np.float64)}, about))

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.safetensors"


class Counted:
    """How many elements of candidates are not the base's, as far as that is known.

    Args:
        store: Where counts are kept.
        team: The processes that have to know the same.

    Attributes:
        known: By candidate.
    """

    def __init__(self, store: SaliencyStore, team: Team) -> None:
        self._store = store
        self._digests: dict[str, str] = {}
        self._team = team
        self.known: dict[str, int] = {}

    def expect(self, digests: Mapping[str, str]) -> None:
        """Look for what is kept of candidates, by the digests of their weights; the first process tells all."""
        self._digests |= digests
        kept = {name: self._store.get_values(self._key(name)) for name in digests}
        self.known |= self._team.gather({name: int(values[0]) for name, values in kept.items() if values})[0]

    def take(self, name: str, count: int) -> None:
        """Remember a count."""
        self.known[name] = count
        if not self._team.rank:
            self._store.put_values(self._key(name), [count], {"candidate": name})

    def _key(self, name: str) -> str:
        return json_digest({"changed": self._digests[name]})


def _name(number: int) -> str:
    return f"layer.{number:04}"
