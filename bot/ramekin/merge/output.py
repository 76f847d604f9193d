"""Weight files as they are written: safetensors, byte for byte the same for the same content."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ramekin.atomic import enough_disk, sync_directory, write_atomically
from ramekin.checkpoint.tensors import ITEM_SIZES
from ramekin.errors import ResourceError
from ramekin.merge.kernels import Bytes
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.report import FileRecord

INDEX_NAME: Final = "model.safetensors.index.json"


def data_order(shard: Shard) -> tuple[TensorTask, ...]:
    """The tensors in the order of their data: as in the shard, but wider element types first.

    So every tensor begins at a multiple of its element size, without which torch cannot map it.
    """
    return tuple(sorted(shard.tensors, key=lambda task: -ITEM_SIZES[task.dtype]))


def header_of(shard: Shard) -> bytes:
    """The file's bytes before its data: length, JSON, spaces up to a multiple of 8."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for task in data_order(shard):
        end = begin + task.nbytes
        header[task.name] = {"dtype": task.dtype, "shape": list(task.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class ShardWriter:
    """One file being written: data at any place and from any thread, its digest in order.

    Args:
        descriptor: The open file.
        header: What comes before the data.
        where: The file, for messages.
    """

    def __init__(self, descriptor: int, header: bytes, where: Path) -> None:
        self._descriptor = descriptor
        self._begin = len(header)
        self._where = where
        self._digest = hashlib.sha256(header)
        self.size = len(header)
        with writable(where):
            _write_all(descriptor, memoryview(header), 0)

    def write(self, offset: int, data: Bytes) -> None:
        """Write at a place of the data. May be called from any thread.

        Raises:
            ResourceError: The disk is full, or refuses.
        """
        with writable(self._where):
            _write_all(self._descriptor, data.data, self._begin + offset)

    def digest(self, data: Bytes) -> None:
        """Take the next bytes of the file, in order, into its digest."""
        self._digest.update(data.data)
        self.size += data.nbytes

    @property
    def record(self) -> FileRecord:
        """Size and digest of what has been taken."""
        return FileRecord(size=self.size, sha256=self._digest.hexdigest())


@contextmanager
def shard_writer(shard: Shard, directory: Path) -> Iterator[ShardWriter]:
    """Write a file of weights under another name, and give it its own once it is complete and on the disk.

    After an error the partial file is gone; after a kill it lies there, and the next run begins it again.

    Raises:
        ResourceError: The disk is full, or refuses.
    """
    path = directory / shard.file
    part = path.with_name(f"{path.name}.part")
    with writable(path):
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        try:
            yield ShardWriter(descriptor, header_of(shard), path)
            with writable(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with writable(path):
            part.replace(path)
            sync_directory(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_index(layout: Layout, directory: Path) -> FileRecord:
    """Write the index of a checkpoint in several files, as transformers does.

    Raises:
        ResourceError: The disk is full, or refuses.
    """
    weight_map = {task.name: shard.file for shard in layout.shards for task in shard.tensors}
    metadata = {"total_parameters": layout.merged_elements, "total_size": layout.total_size}
    index = {"metadata": metadata, "weight_map": weight_map}
    content = (json.dumps(index, indent=2, sort_keys=True) + "\n").encode()
    with writable(directory / INDEX_NAME):
        write_atomically(directory / INDEX_NAME, content)
    return FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn what the system says against writing into a `ResourceError`."""
    try:
        with enough_disk(path):
            yield
    except OSError as error:
        raise ResourceError(
            f"{path} cannot be written: {error.strerror}", "check the disk and its permissions, or choose another"
        ) from error


def _write_all(descriptor: int, data: memoryview, place: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, place)
        data, place = data[written:], place + written
