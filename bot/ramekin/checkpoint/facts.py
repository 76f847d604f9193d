"""All that is known of a checkpoint without its weights: tensors, config, and its small files on demand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ramekin.checkpoint.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, AdapterConfig, read_adapter_config
from ramekin.checkpoint.config import read_config
from ramekin.checkpoint.header import Reader, file_label
from ramekin.checkpoint.inventory import read_adapter_inventory, read_inventory
from ramekin.checkpoint.jsontext import HINT
from ramekin.checkpoint.selection import CONFIG
from ramekin.checkpoint.tensors import Inventory
from ramekin.errors import DamagedError, IncompatibleError
from ramekin.text import printable

_MAX_SMALL_FILE: Final = 256 * 2**20


class Pinned(Protocol):
    """Size and digest of a file, as a lock has them."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def digest(self) -> str:
        """Its digest with the kind before a colon; digests of one kind can be compared."""


@dataclass(frozen=True)
class SmallFiles:
    """A source's config and tokenizer files: digests at once, contents when they are asked for.

    Attributes:
        digests: Of every file of the source that is read, `sha256:…` or `blob:…`.
        label: The source, for messages.
    """

    digests: Mapping[str, str]
    label: str
    _content: Callable[[str], bytes]
    _seen: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def __contains__(self, name: str) -> bool:
        return name in self.digests

    def content(self, name: str) -> bytes:
        """The whole content of a file, read once.

        Raises:
            DamagedError: It is too large, or shorter than it should be.
        """
        if name not in self._seen:
            self._seen[name] = self._content(name)
        return self._seen[name]

    def same(self, name: str, other: "SmallFiles") -> bool:
        """Whether a file that both have is the same in both; it is read only where the digests are of two kinds."""
        mine, theirs = self.digests[name], other.digests[name]
        if mine.partition(":")[0] == theirs.partition(":")[0]:
            return mine == theirs
        return self.content(name) == other.content(name)


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint, known from headers and small files.

    Attributes:
        role: `base`, or `expert:NAME`.
        source: Repository id or path.
        inventory: Its tensors; of an adapter those in its file, by the names that they have there.
        config: `config.json`, empty for an expert that has none.
        files: Its small files.
        adapter: The adapter's config, where it is one.
    """

    role: str
    source: str
    inventory: Inventory
    config: Mapping[str, Any]
    files: SmallFiles
    adapter: AdapterConfig | None = None

    @property
    def place(self) -> str:
        """`base`, or the expert's name."""
        return self.role.removeprefix("expert:")


def read_checkpoint(read: Reader, files: Mapping[str, Pinned], *, role: str, source: str) -> CheckpointFacts:
    """Read what can be known of a source without its weights: a request per shard, and one for the config.

    Args:
        read: Gives ranges of the source's files; called from several threads at once.
        files: Size and digest of every file that a merge reads.
        role: `base`, or `expert:NAME`.
        source: Repository id or path, for messages.

    Raises:
        DamagedError: Headers, index or a config are not what their formats say.
        IncompatibleError: The source has no weights that can be merged, or a base has no config.
    """
    small = SmallFiles(
        {name: file.digest for name, file in files.items()},
        printable(source, 120),
        lambda name: _read_whole(read, name, files[name].size, source),
    )
    sizes = {name: file.size for name, file in files.items()}
    if role != "base" and ADAPTER_WEIGHTS in files and ADAPTER_CONFIG in files:
        adapter = read_adapter_config(small.content(ADAPTER_CONFIG), file_label(ADAPTER_CONFIG, source))
        inventory = read_adapter_inventory(read, sizes, source=source)
        return CheckpointFacts(role, source, inventory, {}, small, adapter)
    inventory = read_inventory(read, sizes, source=source)
    config: Mapping[str, Any] = {}
    if CONFIG in small:
        config = read_config(small.content(CONFIG), file_label(CONFIG, source))
    elif role == "base":
        raise IncompatibleError(
            f"{printable(source, 120)} has no `{CONFIG}`, so the merged model would have none",
            "name a base that transformers can load",
        )
    return CheckpointFacts(role, source, inventory, config, small)


def _read_whole(read: Reader, name: str, size: int, source: str) -> bytes:
    label = file_label(name, source)
    if size > _MAX_SMALL_FILE:
        raise DamagedError(f"{label} has {size:,} bytes, more than {_MAX_SMALL_FILE:,}", HINT)
    content = read(name, 0, size)
    if len(content) != size:
        raise DamagedError(f"{label} ends after {len(content):,} of {size:,} bytes", HINT)
    return content
