"""Which files of a source hold its weights, and which tensors they hold, from headers alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ramekin.checkpoint.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from ramekin.checkpoint.header import Reader, file_label, read_header
from ramekin.checkpoint.jsontext import HINT, parse_object
from ramekin.checkpoint.tensors import Inventory, Tensor
from ramekin.errors import DamagedError, IncompatibleError, Problem
from ramekin.text import printable
from ramekin.threads import at_once

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"

_MAX_INDEX: Final = 100_000_000
_MAX_TENSORS: Final = 500_000
_MAX_SHARDS: Final = 10_000
_MAX_SHOWN: Final = 20
_READS_AT_ONCE: Final = 16
_SHARD: Final = re.compile(r"[A-Za-z0-9_][\w.\-]*?-(\d{5})-of-(\d{5})\.safetensors", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][\w.\-]{0,250}\.safetensors", re.ASCII)
_PICKLES: Final = re.compile(
    r"(pytorch_model|model|consolidated)[^/]*\.(bin|pt|pth|ckpt)|[^/]+\.(pt|pth|ckpt)", re.ASCII
)
_ADAPTER: Final = re.compile(r"adapter_(config\.json|model\.(safetensors|bin))")
_TO_SAFETENSORS: Final = "convert it to safetensors with `save_pretrained`"


def weight_files(files: Iterable[str], *, source: str = "") -> tuple[str, ...]:
    """The files that hold a checkpoint's weights, by the names that a source has, the index among them.

    As in the transformers library, `model.safetensors` goes before an index. Where shards of two uploads lie beside
    each other (`-of-00002` and `-of-00004`), those of a complete set are meant.

    Args:
        files: Paths of all files of the source.
        source: Name of the source, for messages.

    Raises:
        IncompatibleError: There are none that can be merged; the message says what there is instead.
    """
    names = sorted(set(files))
    if SINGLE in names:
        return (SINGLE,)
    sets: dict[str, list[str]] = {}
    for name in names:
        match = _SHARD.fullmatch(name)
        if match and not name.startswith(("adapter", "consolidated")):
            sets.setdefault(match[2], []).append(name)
    complete = {total: shards for total, shards in sets.items() if len(shards) >= int(total)}
    shards = sorted(name for group in (complete or sets).values() for name in group)
    if INDEX in names:
        # An index may name its shards in another way; then every file that could be meant is.
        others = [n for n in names if _PLAIN.fullmatch(n) and not n.startswith(("adapter", "consolidated"))]
        return (*(shards or others), INDEX)
    raise _no_weights(names, shards, printable(source, 120) or "the source")


def is_adapter(files: Iterable[str]) -> bool:
    """Whether a source holds an adapter, and no full weights in safetensors, which would go before it."""
    names = set(files)
    full = names & {SINGLE, INDEX} or any(
        _SHARD.fullmatch(name) and not name.startswith(("adapter", "consolidated")) for name in names
    )
    return not full and any(_ADAPTER.fullmatch(name) for name in names)


def adapter_files(files: Iterable[str], *, source: str = "") -> tuple[str, str]:
    """The config and the weights of an adapter, by the names that a source has.

    Args:
        files: Paths of all files of the source, which holds an adapter.
        source: Name of the source, for messages.

    Raises:
        IncompatibleError: One is absent, or the weights are only there as a pickle.
    """
    names = set(files)
    shown = printable(source, 120) or "the source"
    if ADAPTER_WEIGHTS not in names and "adapter_model.bin" in names:
        raise IncompatibleError(
            f"the adapter's weights of {shown} are only there as a pickle, which can run code when it is read",
            f"{_TO_SAFETENSORS} of PEFT, which writes `{ADAPTER_WEIGHTS}`",
        )
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if name not in names:
            raise IncompatibleError(
                f"{shown} holds an adapter without `{name}`", "save the adapter again with PEFT's `save_pretrained`"
            )
    return ADAPTER_CONFIG, ADAPTER_WEIGHTS


def read_adapter_inventory(read: Reader, files: Mapping[str, int], *, source: str = "") -> Inventory:
    """Read the header of an adapter's weights; errors as of `read_inventory`."""
    header = read_header(read, ADAPTER_WEIGHTS, files[ADAPTER_WEIGHTS], source=source)
    if not header.tensors:
        raise DamagedError(f"{file_label(ADAPTER_WEIGHTS, source)} holds no tensors", HINT)
    return Inventory({tensor.name: tensor for tensor in header.tensors}, {ADAPTER_WEIGHTS: files[ADAPTER_WEIGHTS]})


def read_inventory(read: Reader, files: Mapping[str, int], *, source: str = "") -> Inventory:
    """Read the headers of all weight files of a source.

    Args:
        read: Gives ranges of the source's files; called from several threads at once.
        files: Size in bytes of every file of the source, or at least of those that hold weights.
        source: Name of the source, for messages.

    Raises:
        IncompatibleError: The source has no weights that can be merged.
        DamagedError: Headers or index are not what the format says, or disagree with each other.
    """
    weights = weight_files(files, source=source)
    placed: dict[str, str] | None = None
    if INDEX in weights:
        placed = _read_index(read, files, source)
        weights = tuple(sorted(set(placed.values())))
    headers = at_once(lambda file: read_header(read, file, files[file], source=source), weights, _READS_AT_ONCE)
    tensors = [tensor for header in headers for tensor in header.tensors]
    if placed is not None:
        _check_placed(tensors, placed, source)
    if not tensors:
        raise DamagedError(f"{file_label(weights[0], source)} holds no tensors", HINT)
    if len(tensors) > _MAX_TENSORS:
        raise DamagedError(
            f"{file_label(INDEX, source)} names {len(tensors):,} tensors, more than {_MAX_TENSORS:,}", HINT
        )
    return Inventory({tensor.name: tensor for tensor in tensors}, {file: files[file] for file in weights})


def _read_index(read: Reader, files: Mapping[str, int], source: str) -> dict[str, str]:
    """File of every tensor as the index has it, all of the files plain names of files that exist."""
    label = file_label(INDEX, source)
    size = files[INDEX]
    if size > _MAX_INDEX:
        raise DamagedError(f"{label} has {size:,} bytes, more than {_MAX_INDEX:,}", HINT)
    data = read(INDEX, 0, size)
    if len(data) != size:
        raise DamagedError(f"{label} ends after {len(data):,} of {size:,} bytes", HINT)
    placed = parse_object(data, label).get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(file, str) for file in placed.values()):
        raise DamagedError(f"{label} has no `weight_map` from tensors to files", HINT)
    shards = sorted(set(placed.values()))
    if len(shards) > _MAX_SHARDS:
        raise DamagedError(f"{label} names {len(shards):,} files, more than {_MAX_SHARDS:,}", HINT)
    problems = []
    for shard in shards:
        if not _PLAIN.fullmatch(shard):
            problems.append(f"{label} names `{printable(shard, 100)}`, which is not a safetensors file beside it")
        elif shard not in files:
            problems.append(f"{label} names `{shard}`, which the source does not have")
    if problems:
        raise DamagedError(problems=_shown(problems))
    return placed


def _check_placed(tensors: list[Tensor], placed: dict[str, str], source: str) -> None:
    """Refuse a tensor that lies in two files, in another than the index says, or in only one of index and files."""
    label = file_label(INDEX, source)
    problems = []
    found: dict[str, str] = {}
    for tensor in tensors:
        name = f"tensor `{printable(tensor.name, 100)}`"
        if tensor.name in found:
            problems.append(
                f"{file_label(tensor.file, source)} holds {name}, which `{found[tensor.name]}` holds already"
            )
        elif tensor.name not in placed:
            problems.append(f"{label} does not name {name}, which lies in `{tensor.file}`")
        elif placed[tensor.name] != tensor.file:
            problems.append(f"{label} places {name} in `{placed[tensor.name]}`, but it lies in `{tensor.file}`")
        found[tensor.name] = tensor.file
    problems += [
        f"{label} places tensor `{printable(name, 100)}` in `{file}`, which does not hold it"
        for name, file in placed.items()
        if name not in found
    ]
    if problems:
        raise DamagedError(problems=_shown(problems))


def _shown(problems: list[str]) -> list[Problem]:
    shown = [Problem(what, HINT) for what in problems[:_MAX_SHOWN]]
    if len(problems) > _MAX_SHOWN:
        shown.append(Problem(f"there are {len(problems) - _MAX_SHOWN:,} more problems of this kind", HINT))
    return shown


def _no_weights(names: list[str], shards: list[str], source: str) -> IncompatibleError:
    """Why a source without `model.safetensors` and without an index cannot be merged."""
    if shards:
        return IncompatibleError(
            f"{source} has {len(shards)} safetensors shards but no `{INDEX}` that says what they hold",
            "save the model again with `save_pretrained`, which writes the index",
        )
    if any(_ADAPTER.fullmatch(name) for name in names):
        return IncompatibleError(
            f"{source} holds an adapter and no full weights, and a base must be a whole model",
            "name the model that the adapter was trained on as the base, and the adapter as an expert",
        )
    if any(name.lower().endswith(".gguf") for name in names):
        return IncompatibleError(
            f"{source} holds only GGUF files, which are made for inference",
            "name the safetensors checkpoint that the GGUF files were made from",
        )
    if any(_PICKLES.fullmatch(name) for name in names):
        return IncompatibleError(
            f"the weights of {source} are only there as pickles, which can run code when they are read",
            f"{_TO_SAFETENSORS}, or ask its author for the Hub's safetensors conversion",
        )
    return IncompatibleError(
        f"{source} has neither `{SINGLE}` nor `{INDEX}`",
        "name a repository or directory that holds a transformers checkpoint in safetensors",
    )
