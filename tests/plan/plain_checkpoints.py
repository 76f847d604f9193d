"""Facts of checkpoints that no file stands behind: tensors by name, type and shape."""

import json
from typing import Any

from ramekin.checkpoint.facts import CheckpointFacts, SmallFiles
from ramekin.checkpoint.tensors import Inventory, Tensor

CONFIG = {"model_type": "llama", "vocab_size": 64, "hidden_size": 16, "tie_word_embeddings": False}


def tensors(
    dtype: str = "BF16", *, layers: int = 2, rows: int = 64, head: bool = True
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A small language model: embedding, layers, norm and output layer."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": (dtype, (rows, 16))}
    for layer in range(layers):
        found[f"model.layers.{layer}.mlp.up_proj.weight"] = (dtype, (32, 16))
        found[f"model.layers.{layer}.norm.weight"] = (dtype, (16,))
    found["model.norm.weight"] = (dtype, (16,))
    if head:
        found["lm_head.weight"] = (dtype, (rows, 16))
    return found


def facts(
    role: str = "base",
    contents: dict[str, tuple[str, tuple[int, ...]]] | None = None,
    *,
    config: dict[str, Any] | None = None,
    files: int = 1,
    small: dict[str, Any] | None = None,
    weights: str = "",
) -> CheckpointFacts:
    """A checkpoint whose tensors are dealt out over some files, in order."""
    contents = tensors() if contents is None else contents
    per_file = -(-len(contents) // files)
    sizes: dict[str, int] = {}
    found = {}
    for number, (name, (dtype, shape)) in enumerate(contents.items()):
        file = f"part-{number // per_file}.safetensors"
        found[name] = Tensor(name, dtype, shape, file, sizes.get(file, 100))
        sizes[file] = sizes.get(file, 100) + found[name].nbytes
    texts = {"tokenizer.json": {"model": {"vocab": {"a": 0}}}} if small is None else small
    encoded = {name: json.dumps(value).encode() for name, value in texts.items()}
    digests = {name: f"sha256:{content!r}" for name, content in encoded.items()}
    digests |= {file: f"sha256:{weights or role}:{file}" for file in sizes}
    source = SmallFiles(digests, role, encoded.__getitem__)
    return CheckpointFacts(
        role, f"org/{role[-4:]}", Inventory(found, sizes), CONFIG if config is None else config, source
    )
