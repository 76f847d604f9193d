"""Weight files as they are written: safetensors, byte for byte the same for the same content."""

import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from ramekin.atomic import begin_to_sync, enough_disk, sync_directory, write_atomically
from ramekin.checkpoint.tensors import ITEM_SIZES
from ramekin.errors import ResourceError
from ramekin.merge.arrays import Bytes
from ramekin.merge.chunks import Chunk
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.records import FileRecord

_READ_BACK: Final = 1 << 22
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
    """One file being written: chunks from any thread and process, its digest in order.

    Args:
        descriptor: The open file.
        shard: What it holds.
        where: The file, for messages.
    """

    def __init__(self, descriptor: int, shard: Shard, where: Path) -> None:
        self._descriptor = descriptor
        self._where = where
        self._header = header_of(shard)
        self._digest = hashlib.sha256(self._header)
        self._digested = len(self._header)
        self._begin: dict[str, int] = {}
        # The system lets one thread at a time write to a file, and the others spin meanwhile; here they sleep.
        self._writing = threading.Lock()
        self.size = len(self._header)
        for task in data_order(shard):
            self._begin[task.name] = self.size
            self.size += task.nbytes

    def begin(self) -> None:
        """Write what comes before the data. For the process that makes the file.

        Raises:
            ResourceError: The disk is full, or refuses.
        """
        with writable(self._where):
            _write_all(self._descriptor, memoryview(self._header), 0)

    def join(self) -> None:
        """Make sure that the file is the one that the leading process has begun.

        Raises:
            ResourceError: It is another: the processes do not see the same disk.
        """
        if os.pread(self._descriptor, len(self._header), 0) != self._header:
            raise not_shared(self._where)

    def write(self, chunk: Chunk, data: Bytes) -> None:
        """Write a chunk in its place. May be called from any thread.

        Raises:
            ResourceError: The disk is full, or refuses.
        """
        place = self._begin[chunk.task.name] + chunk.first * ITEM_SIZES[chunk.task.dtype]
        with self._writing, writable(self._where):
            _write_all(self._descriptor, data.data, place)
        begin_to_sync(self._descriptor, place, data.nbytes)

    def digest(self, data: Bytes) -> None:
        """Take the next bytes of the file, in order, into its digest."""
        self._digest.update(data.data)
        self._digested += data.nbytes

    def sync(self) -> None:
        """Let other machines see what was written.

        Raises:
            ResourceError: The disk is full, or refuses.
        """
        with writable(self._where):
            os.fsync(self._descriptor)

    def digest_written(self) -> None:
        """Take all that was written, by this process or others, into the digest, from the file itself.

        It is opened anew: only then does a network's file system look for what other machines have written.

        Raises:
            ResourceError: It cannot be read, or lacks something.
        """
        buffer = np.empty(_READ_BACK, np.uint8)
        with writable(self._where), unfinished(self._where).open("rb", buffering=0) as file:
            file.seek(self._digested)
            while self._digested < self.size:
                got = file.readinto(buffer.data)
                if not got:
                    raise ResourceError(f"{self._where} ends too early", "check the disk, run the same command again")
                self.digest(buffer[: min(got, self.size - self._digested)])

    @property
    def record(self) -> FileRecord:
        """Size and digest of the file, once all of it was taken."""
        return FileRecord(size=self._digested, sha256=self._digest.hexdigest())


@contextmanager
def shard_writer(shard: Shard, directory: Path, *, leading: bool = True) -> Iterator[ShardWriter]:
    """Write a file of weights under another name, and give it its own once it is complete and on the disk.

    After an error the partial file is gone; after a kill it lies there, and the next run begins it again.

    Args:
        shard: What it holds.
        directory: Where it goes.
        leading: Whether this process makes the file, and names it; the others write into it.

    Raises:
        ResourceError: The disk is full, or refuses.
    """
    path = directory / shard.file
    part = unfinished(path)
    descriptor = _opened(path, leading=leading)
    try:
        try:
            writer = ShardWriter(descriptor, shard, path)
            if leading:
                writer.begin()
            else:
                writer.join()
            yield writer
            if leading:
                with writable(path):
                    os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if leading:
            with writable(path):
                part.replace(path)
                sync_directory(path.parent)
    finally:
        if leading:
            part.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """What a file is called until it is complete."""
    return path.with_name(f"{path.name}.part")


def _opened(path: Path, *, leading: bool) -> int:
    with writable(path):
        if leading:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(unfinished(path), os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            return os.open(unfinished(path), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise not_shared(path) from error


def not_shared(path: Path) -> ResourceError:
    """This process, on another machine than the first, does not find a file of the first."""
    return ResourceError(
        f"{path}: a process on {socket.gethostname()} does not find the file that the first process has there",
        "let all machines work in one shared directory, which has the same path on each",
    )


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
