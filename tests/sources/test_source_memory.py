"""What a job with many manifests asks the Hub only once."""

from collections.abc import Callable

import pytest

from ramekin.errors import IncompatibleError, SourceError
from ramekin.lock.model import PinnedFile, PinnedSource
from ramekin.refusals import is_passing
from ramekin.sources import memory
from ramekin.sources.memory import SourceMemory

PINNED = PinnedSource(
    source="lab/coder", kind="hub", commit="a" * 40, files={"model.safetensors": PinnedFile(size=9, sha256="0" * 64)}
)


def test_a_source_is_pinned_once() -> None:
    known, asked = SourceMemory(), []

    def ask() -> PinnedSource:
        asked.append(1)
        return PINNED

    assert [known.pin(("lab/coder", None, "expert"), ask) for _ in range(3)] == [PINNED] * 3
    known.pin(("lab/coder", None, "base"), ask)
    known.pin(("lab/coder", "v2", "expert"), ask)
    assert len(asked) == 3


@pytest.mark.parametrize("kind", [SourceError, IncompatibleError])
def test_a_refusal_is_remembered_with_its_cause(kind: type[SourceError] | type[IncompatibleError]) -> None:
    known, asked = SourceMemory(), []

    def ask() -> PinnedSource:
        asked.append(1)
        raise kind("lab/coder: the network gave up", "later") from ConnectionError("reset")

    for _ in range(3):
        with pytest.raises(kind, match="gave up") as caught:
            known.pin("key", ask)
        assert is_passing(caught.value)
    assert len(asked) == 1


def test_no_range_is_read_twice_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_LARGEST", 10)
    known, asked = SourceMemory(), []

    def reading(commit: str) -> Callable[[str, int, int], bytes]:
        def read(file: str, start: int, stop: int) -> bytes:
            asked.append((commit, file, start, stop))
            return b"x" * (stop - start)

        return known.reader(PINNED.model_copy(update={"commit": commit}), read)

    for _ in range(2):
        for commit in ("a", "b"):
            assert reading(commit)("f", 0, 4) == b"xxxx"
            assert reading(commit)("f", 0, 8) == b"x" * 8  # for this there is no room
    assert [request[2:] for request in asked].count((0, 4)) == 2
    assert [request[2:] for request in asked].count((0, 8)) == 4


def test_what_passes_by_itself() -> None:
    gone = SourceError("lab/coder: does not exist", "check the name")
    assert not is_passing(gone)
    assert not is_passing(None)
    for cause in (TimeoutError(), ConnectionResetError()):
        error = SourceError("x", "y")
        error.__cause__ = SourceError("inner", "z")
        error.__cause__.__cause__ = cause
        assert is_passing(error)
    error = SourceError("x", "y")
    error.__cause__ = FileNotFoundError()
    assert not is_passing(error)
