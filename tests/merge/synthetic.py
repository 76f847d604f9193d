"""Small checkpoints made of bytes, and the layouts to merge them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reference import from_float32, to_float32

from ramekin.checkpoint.tensors import ITEM_SIZES, Tensor
from ramekin.merge.files import AtHand
from ramekin.plan.layout import Layout, Shard, TensorTask


@dataclass(frozen=True)
class Data:
    """A tensor's content."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes

    @property
    def values(self) -> np.ndarray:
        return to_float32(self.raw, self.dtype)


def data(values: object, dtype: str = "F32", shape: tuple[int, ...] | None = None) -> Data:
    array = np.asarray(values, np.float32)
    return Data(dtype, array.shape if shape is None else shape, from_float32(array.reshape(-1), dtype))


def write_safetensors(path: Path, tensors: Mapping[str, Data]) -> dict[str, Tensor]:
    """Write one file in the order given; return where its tensors are."""
    header: dict[str, object] = {}
    begin = 0
    for name, d in tensors.items():
        header[name] = {"dtype": d.dtype, "shape": list(d.shape), "data_offsets": [begin, begin + len(d.raw)]}
        begin += len(d.raw)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(d.raw for d in tensors.values()))
    found, start = {}, 8 + len(text)
    for name, d in tensors.items():
        found[name] = Tensor(name, d.dtype, d.shape, path.name, start)
        start += len(d.raw)
    return found


@dataclass(frozen=True)
class Sources:
    """Checkpoints on disk with their layout."""

    layout: Layout
    files: dict[str, dict[str, Path]]
    base: Mapping[str, Data]
    experts: Mapping[str, Mapping[str, Data]]

    @property
    def supply(self) -> AtHand:
        return AtHand(self.files)


def lay_out(
    directory: Path,
    base: Mapping[str, Data],
    experts: Mapping[str, Mapping[str, Data]],
    *,
    dtype: str | None = None,
    shards: Sequence[Sequence[str]] | None = None,
) -> Sources:
    """Write base and experts, one file each, and lay out the output: element type and names per shard, if given."""
    inventories = {"base": write_safetensors(directory / "base" / "model.safetensors", base)}
    files = {"base": {"model.safetensors": directory / "base" / "model.safetensors"}}
    for name, tensors in experts.items():
        path = directory / name / f"{name}.safetensors"
        inventories[name] = write_safetensors(path, tensors)
        files[f"expert:{name}"] = {path.name: path}
    split = [list(base)] if shards is None else [list(s) for s in shards]
    made = []
    for i, names in enumerate(split):
        file = "model.safetensors" if len(split) == 1 else f"model-{i + 1:05}-of-{len(split):05}.safetensors"
        made.append(Shard(file, tuple(_task(n, inventories, list(experts), dtype) for n in names)))
    return Sources(Layout(tuple(made), tuple(experts)), files, base, experts)


def _task(name: str, inventories: dict[str, dict[str, Tensor]], experts: list[str], dtype: str | None) -> TensorTask:
    tensor = inventories["base"][name]
    merged = tensor.dtype in {"BF16", "F16", "F32"}
    return TensorTask(
        name=name,
        dtype=(dtype or tensor.dtype) if merged else tensor.dtype,
        shape=tensor.shape,
        operation="merge" if merged else "copy",
        base=tensor,
        experts=tuple(inventories[e][name] for e in experts),
    )


def read_tensors(directory: Path) -> dict[str, Data]:
    """Everything in the `.safetensors` files of a directory, read by hand; the files must be exactly as long."""
    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        assert size % 8 == 0
        header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
        assert header.pop("__metadata__") == {"format": "pt"}
        end = 0
        for name, entry in header.items():
            begin, stop = entry["data_offsets"]
            assert begin == end, "contiguous, in order"
            assert begin % ITEM_SIZES[entry["dtype"]] == 0, "aligned"
            found[name] = Data(entry["dtype"], tuple(entry["shape"]), body[begin:stop])
            end = stop
        assert end == len(body)
    return found
