"""What was traced is found again by what decides it, and by nothing less."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ramekin.arm.store import SaliencyStore, reading_digest, saliency_key
from ramekin.arm.texts import Text

TEXTS = [Text((1, 2, 3, 4), {"a": (1, 2), "b": (3,)}), Text((5, 6), {"a": (1,)})]
LAYERS = [np.array([0.5, 2], np.float32), np.array([1, 0, 3], np.float32)]


def key(model: str = "m", texts: list[Text] = TEXTS, role: str = "a", dtype: str = "bfloat16") -> str:
    return saliency_key(model, reading_digest(texts, role), dtype)


def test_what_decides() -> None:
    others = [
        key(model="n"),
        key(dtype="float32"),
        key(role="b"),
        key(texts=TEXTS[:1]),
        key(texts=[Text((1, 2, 9, 4), {"a": (1, 2)}), TEXTS[1]]),
        key(texts=[Text((1, 2, 3, 4), {"a": (2,)}), TEXTS[1]]),
    ]
    assert len({key(), *others}) == 1 + len(others)
    # Neither the order, nor another role of the same texts, nor what is read after the last token of the role.
    assert key() == key(texts=TEXTS[::-1]) == key(texts=[Text((1, 2, 3, 9), {"a": (1, 2)}), TEXTS[1]])


def test_kept_and_found(tmp_path: Path) -> None:
    store = SaliencyStore(tmp_path / "new")
    assert store.get(key(), [2, 3]) is None
    store.put(key(), LAYERS, {"role": "a"})
    found = store.get(key(), [2, 3])
    assert found is not None
    assert all(np.array_equal(a, b) for a, b in zip(found, LAYERS, strict=True))
    assert store.get(key(model="n"), [2, 3]) is None
    assert store.get(key(), [2, 4]) is None
    assert store.get(key(), [2]) is None


@pytest.mark.parametrize("damage", ["cut", "text", "nan", "type", "names"])
def test_what_is_damaged_is_traced_again(tmp_path: Path, damage: str) -> None:
    store, path = SaliencyStore(tmp_path), tmp_path / f"{key()}.safetensors"
    store.put(key(), LAYERS, {})
    tensors = {f"layer.{number:04}": layer.copy() for number, layer in enumerate(LAYERS)}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "text":
        path.write_text("not found")
    elif damage == "nan":
        tensors["layer.0001"][1] = np.nan
        save_file(tensors, path)
    elif damage == "type":
        save_file({name: layer.astype(np.float64) for name, layer in tensors.items()}, path)
    else:
        save_file({f"x.{name}": layer for name, layer in tensors.items()}, path)
    assert store.get(key(), [2, 3]) is None
