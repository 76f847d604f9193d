"""Pieces of files: the same bytes whether mapped or read, and nothing left mapped."""

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramekin.merge import mapping
from ramekin.merge.mapping import Extents, Piece
from ramekin.merge.resources import LARGE_PAGE, Resources

SIZE = 5 * LARGE_PAGE + 12_345
LONGEST = 300_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bytes]]:
    path = tmp_path_factory.mktemp("mapping") / "file"
    content = np.random.default_rng(0).bytes(SIZE)
    path.write_bytes(content)
    yield path, content
    assert mappings(path) == 0


def mappings(path: Path) -> int:
    return sum(line.endswith(f" {path}") for line in Path("/proc/self/maps").read_text().splitlines())


def reader(descriptor: int, start: int, reads: list[int]) -> Callable[[memoryview], None]:
    def read(into: memoryview) -> None:
        reads.append(start)
        if os.preadv(descriptor, [into], start) != len(into):
            raise EOFError

    return read


def take(extents: Extents, descriptor: int, start: int, size: int, reads: list[int]) -> bytes:
    piece = extents.piece(descriptor, start, size, reader(descriptor, start, reads))
    try:
        return ctypes.string_at(piece.address, size)
    finally:
        piece.drop()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, LONGEST + 10)), max_size=12), st.integers(1, 3))
def test_the_bytes_are_those_of_the_file(file: tuple[Path, bytes], places: list[tuple[int, int]], pages: int) -> None:
    path, content = file
    reads: list[int] = []
    extents = Extents(pages * LARGE_PAGE, LONGEST)
    with path.open("rb") as stream:
        for start, size in places:
            cut = min(size, SIZE - start)
            assert take(extents, stream.fileno(), start, cut, reads) == content[start : start + cut]
            assert mappings(path) <= 1
    extents.close()
    assert mappings(path) == 0
    # Whatever begins where a float32 may begin, and is no longer than was said, is not copied.
    assert reads == [start for start, size in places if start % 4 or min(size, SIZE - start) > LONGEST]


def test_many_threads(file: tuple[Path, bytes]) -> None:
    path, content = file
    extents, reads = Extents(LARGE_PAGE, 1 << 16), []
    with path.open("rb") as stream, ThreadPoolExecutor(4) as pool:
        starts = range(0, SIZE - (1 << 16), 40_000)
        found = pool.map(lambda start: take(extents, stream.fileno(), start, 1 << 16, reads), starts)
        assert all(each == content[start : start + (1 << 16)] for start, each in zip(starts, found, strict=True))
    extents.close()
    assert reads == []


def test_at_most_two_extents_are_mapped_by_whoever_goes_forward(file: tuple[Path, bytes]) -> None:
    path, _ = file
    extents = Extents(LARGE_PAGE, LONGEST)
    held: list[Piece] = []
    with path.open("rb") as stream:
        for start in range(0, SIZE - LONGEST, LONGEST):
            held.append(extents.piece(stream.fileno(), start, LONGEST, reader(stream.fileno(), start, [])))
            if len(held) > 1:
                held.pop(0).drop()
            assert 1 <= mappings(path) <= 2
        held.pop().drop()
        extents.close()
    assert mappings(path) == 0


def test_what_the_file_does_not_have_is_told_by_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(bytes(10_000))
    extents, reads = Extents(LARGE_PAGE, 1 << 16), []
    with path.open("rb") as stream, pytest.raises(EOFError):
        take(extents, stream.fileno(), 8192, 1 << 14, reads)
    assert reads == [8192]
    extents.close()
    assert mappings(path) == 0


def test_where_nothing_can_be_mapped_it_is_read(file: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = file
    reads: list[int] = []
    with path.open("rb") as stream:
        monkeypatch.setattr(mapping, "_SYSTEM", None)  # another system
        assert take(Extents(LARGE_PAGE, LONGEST), stream.fileno(), 4096, 100, reads) == content[4096:4196]
        monkeypatch.undo()
        monkeypatch.setattr(mapping, "_POPULATE_READ", 9999)  # a kernel that does not know the advice
        extents = Extents(LARGE_PAGE, LONGEST)
        assert take(extents, stream.fileno(), 8192, 100, reads) == content[8192:8292]
        extents.close()
    ends, pipe = os.pipe()  # nothing that can be mapped, or read at a place
    with pytest.raises(OSError, match="Illegal seek"):
        Extents(LARGE_PAGE, LONGEST).piece(ends, 0, 4, reader(ends, 0, reads))
    os.close(ends)
    os.close(pipe)
    assert reads == [4096, 8192, 0]


@pytest.mark.parametrize("experts", [1, 3, 16])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_how_much_is_mapped_has_a_bound(experts: int, threads: int) -> None:
    how = Resources(threads=threads)
    assert how.extent_bytes(experts) % LARGE_PAGE == 0
    assert 2 * (experts + 1) * how.extent_bytes(experts) <= 128 << 20
    assert threads * (experts + 1) * how.reading_bytes(experts) <= max(
        128 << 20, threads * (experts + 1) * how.chunk_bytes
    )
