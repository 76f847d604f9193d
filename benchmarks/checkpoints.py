"""Synthetic checkpoints with the tensors of Qwen2.5: a base, and three experts changed as reinforcement learning does.

An expert differs from the base in the density published for one like it. A changed weight moves by one or two steps of
its bfloat16 grid, up or down, always by more than 1e-5. Run as a process of its own, since its buffers are large:

    python benchmarks/checkpoints.py 0.5 /somewhere/with/space
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from ramekin.demo.family import Size, checkpoint_files

DENSITIES: Final = {"coder": 0.032, "tool": 0.462, "memory": 0.543}
ROLES: Final = ("base", *DENSITIES)
CHUNK: Final = 1 << 19
"""Elements made at a time by a thread."""
SMALLEST: Final = 0x3B00
"""Bits of 2**-9, from which on one step is more than 1e-5; smaller weights stay."""
_QUANTILES: Final = [NormalDist(0.0, 0.02).inv_cdf((i + 0.5) / (1 << 16)) for i in range(1 << 16)]
WEIGHTS: Final = (np.array(_QUANTILES, np.float32).view(np.uint32) >> 16).astype(np.uint16)
"""Weights around 0, as the bits of bfloat16; one is as likely as the other."""
MOVABLE: Final = float(np.mean((WEIGHTS & 0x7FFF) >= SMALLEST))


@dataclass(frozen=True)
class Qwen:
    """Dimensions of one size; the output embeddings are tied and so not stored."""

    hidden: int
    layers: int
    width: int
    heads: int
    keys: int
    shards: int = 1
    vocabulary: int = 151936

    @property
    def config(self) -> dict[str, Any]:
        """Its `config.json`."""
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_size": self.hidden,
            "intermediate_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": 2,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "vocab_size": self.vocabulary,
        }

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its tensors, in the order of their names."""
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            found |= {f"{prefix}.{norm}_layernorm.weight": (self.hidden,) for norm in ("input", "post_attention")}
            for name, rows in (("q", self.hidden), ("k", self.keys), ("v", self.keys)):
                found[f"{prefix}.self_attn.{name}_proj.bias"] = (rows,)
                found[f"{prefix}.self_attn.{name}_proj.weight"] = (rows, self.hidden)
            found[f"{prefix}.self_attn.o_proj.weight"] = (self.hidden, self.hidden)
            found |= {f"{prefix}.mlp.{name}_proj.weight": (self.width, self.hidden) for name in ("gate", "up")}
            found[f"{prefix}.mlp.down_proj.weight"] = (self.hidden, self.width)
        return dict(sorted((found | {"model.norm.weight": (self.hidden,)}).items()))

    @property
    def elements(self) -> int:
        """Parameters of one checkpoint."""
        return sum(math.prod(shape) for shape in self.shapes.values())


SIZES: Final = {
    "0.5": Qwen(hidden=896, layers=24, width=4864, heads=14, keys=128),
    "1": Qwen(hidden=1280, layers=26, width=6848, heads=10, keys=256),
    "1.5": Qwen(hidden=1536, layers=28, width=8960, heads=12, keys=256),
    "3": Qwen(hidden=2048, layers=36, width=11008, heads=16, keys=256, shards=2),
    "warm": Qwen(hidden=64, layers=1, width=128, heads=1, keys=64, vocabulary=512),
}


def weight_files(model: Qwen) -> Iterator[tuple[str, bytes, int, list[str]]]:
    """Name, header, elements and tensors of every file of weights."""
    limit, held = math.ceil(model.elements / model.shards), 0
    parts: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in model.shapes.items():
        if held >= limit * len(parts):
            parts.append({})
        parts[-1][name] = shape
        held += math.prod(shape)
    for number, part in enumerate(parts, 1):
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in part.items():
            begin, end = end, end + 2 * math.prod(shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        file = "model.safetensors" if len(parts) == 1 else f"model-{number:05}-of-{len(parts):05}.safetensors"
        yield file, len(text).to_bytes(8, "little") + text, end // 2, list(part)


def lots(seed: tuple[int, ...], count: int) -> np.ndarray:
    """Random numbers of 16 bits, four drawn at a time: uint16 `[count]`."""
    random = np.random.Generator(np.random.SFC64(seed))
    return random.integers(0, (1 << 64) - 1, -(-count // 4), np.uint64, endpoint=True).view(np.uint16)[:count]


def expert_chunk(bits: np.ndarray, lot: np.ndarray, density: float) -> np.ndarray:
    """The same weights, moved at random: uint16 `[count]`."""
    moved = (lot < round(density / MOVABLE * (1 << 16))) & ((bits & 0x7FFF) >= SMALLEST)
    steps = np.array([1, 2, -1, -2], np.int16).view(np.uint16)[lot & 3]
    return bits + moved * steps


def build(size: str, directory: Path) -> None:
    """Write base and experts, a directory each."""
    model = SIZES[size]
    small = checkpoint_files({}, Size(), "---\nlicense: apache-2.0\n---\n")
    del small["model.safetensors"]
    small["config.json"] = json.dumps(model.config).encode()
    files = list(weight_files(model))
    if len(files) > 1:
        index = {name: file for file, _, _, names in files for name in names}
        text = {"metadata": {"total_size": 2 * model.elements}, "weight_map": index}
        small["model.safetensors.index.json"] = json.dumps(text).encode()
    for role in ROLES:
        (directory / role).mkdir(parents=True)
        for name, content in small.items():
            (directory / role / name).write_bytes(content)
    for number, (file, header, count, _) in enumerate(files):
        fill([directory / role / file for role in ROLES], number, header, count)


def fill(paths: list[Path], number: int, header: bytes, count: int) -> None:
    """Write one file of weights of every checkpoint; the base's come first."""
    opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for path in paths]

    def write(start: int) -> None:
        bits = WEIGHTS[lots((number, start), min(CHUNK, count - start))]
        os.pwrite(opened[0], bits.data, len(header) + 2 * start)
        for i, density in enumerate(DENSITIES.values(), 1):
            moved = expert_chunk(bits, lots((number, start, i), bits.size), density)
            os.pwrite(opened[i], moved.data, len(header) + 2 * start)

    try:
        for file in opened:
            os.pwrite(file, header, 0)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(pool.map(write, range(0, count, CHUNK)))
    finally:
        for file in opened:
            os.close(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("directory", type=Path)
    chosen = parser.parse_args()
    started = time.perf_counter()
    build(chosen.size, chosen.directory)
    print(f"{chosen.directory}: {SIZES[chosen.size].elements / 1e9:.2f} B, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
