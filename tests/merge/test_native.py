"""Machine code of the loops: kept, found again whatever happens to it, and loaded without what made it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ramekin.merge.loops import lowrank, native, on_processor
from ramekin.merge.loops.compiling import compiled
from ramekin.merge.loops.native import Native

ADDED = ("products.accumulate", "float64[:,:,:]", "int64", "int64", "int64", "float64[:,:,:]")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where machine code is kept in this test."""
    kept = tmp_path / "kept"
    monkeypatch.setattr(native, "_places", lambda: iter([kept]))
    return kept


@pytest.fixture
def compiled_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The loops that were compiled."""
    names: list[str] = []
    real = Native.compile

    def noted(self: Native) -> bytes:
        names.append(self.name)
        return real(self)

    monkeypatch.setattr(Native, "compile", noted)
    return names


def works(loop: Native) -> bool:
    sums, totals = np.arange(8.0).reshape(2, 2, 2), np.ones((1, 2, 2))
    loop(sums, 2048, 2048, 0, totals)
    return bool(np.array_equal(totals[0], 1 + sums[0] + sums[1]))


def test_what_was_compiled_is_kept_and_loaded_again(place: Path, compiled_names: list[str]) -> None:
    assert works(Native(*ADDED))
    assert [path.suffix for path in place.iterdir()] == [".o"]
    assert works(Native(*ADDED))
    assert compiled_names == ["accumulate"]


def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ramekin.merge.loops import native, on_processor\n"
        "native._places = lambda: iter([Path(sys.argv[1])])\n"
        "on_processor.accumulate.load()\n"
        "print('numba' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "kept")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(process.communicate(timeout=120)[0] for process in started) == ["False\n", "False\n", "True\n"]
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".o"]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_machine_code_is_not_run(place: Path, compiled_names: list[str], damage: bytes | None) -> None:
    assert works(Native(*ADDED))
    (file,) = place.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    assert works(Native(*ADDED))
    assert works(Native(*ADDED))
    assert compiled_names == ["accumulate"] * 2  # and what was made anew is whole


def test_without_a_place_loops_are_compiled_in_every_process(place: Path, compiled_names: list[str]) -> None:
    place.write_text("no directory")
    assert works(Native(*ADDED))
    assert works(Native(*ADDED))
    assert compiled_names == ["accumulate"] * 2


def test_where_the_first_place_cannot_be_written_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled_names: list[str]
) -> None:
    (tmp_path / "taken").write_text("no directory")
    monkeypatch.setattr(native, "_HERE", tmp_path / "taken")
    monkeypatch.setattr(native, "_key", lambda: "0" * 64)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert works(Native(*ADDED))
    assert works(Native(*ADDED))
    assert compiled_names == ["accumulate"]
    assert len([*(tmp_path / "cache" / "ramekin" / "loops").iterdir()]) == 1


def test_a_relative_cache_is_the_working_directorys_and_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", ".cache")
    assert [*native._places()] == [native._HERE / "__pycache__"]


def test_nobody_has_to_have_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert [*native._places()] == [native._HERE / "__pycache__"]


def test_what_anybody_could_have_written_is_not_run(place: Path, compiled_names: list[str]) -> None:
    assert works(Native(*ADDED))
    (file,) = place.iterdir()
    file.chmod(0o666)
    assert works(Native(*ADDED))
    assert compiled_names == ["accumulate"] * 2


def test_a_loop_that_cannot_be_compiled_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Native) -> bytes:
        raise RuntimeError("no")

    monkeypatch.setattr(Native, "compile", failing)
    with pytest.raises(RuntimeError, match="no"):
        works(Native(*ADDED))
    assert not [*place.iterdir()]


@pytest.fixture
def fresh_key() -> Iterator[None]:
    native._key.cache_clear()
    yield
    native._key.cache_clear()


@pytest.mark.usefixtures("fresh_key")
def test_machine_code_is_for_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    first = native._key()
    native._key.cache_clear()
    monkeypatch.setattr(native, "_processor", lambda: ("another", "+avx1024"))
    assert native._key() != first


@pytest.mark.usefixtures("fresh_key")
def test_a_changed_loop_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = tmp_path / "loops"
    loops.mkdir()
    (tmp_path / "arrays.py").write_text("F32 = 2\n")
    (tmp_path / "sizes.py").write_text("BLOCK = 1024\n")
    (loops / "ram.py").write_text("a = 1\n")
    monkeypatch.setattr(native, "_HERE", loops)
    keys = {native._key()}
    for path, content in ((loops / "ram.py", "a = 2\n"), (tmp_path / "sizes.py", "BLOCK = 2048\n")):
        native._key.cache_clear()
        path.write_text(content)
        keys.add(native._key())
    assert len(keys) == 3


def test_a_loop_that_allocates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def allocating(count: int, out: np.ndarray) -> None:
        out[0] = np.arange(count).sum()

    monkeypatch.setattr(lowrank, "allocating", compiled(allocating), raising=False)
    with pytest.raises(RuntimeError, match=r"allocating does not stand on its own: .*NRT"):
        Native("lowrank.allocating", "int64", "int64[:]").compile()


def test_a_loop_that_raises_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(count: int) -> None:
        if count < 0:
            raise ValueError("less than nothing")

    monkeypatch.setattr(lowrank, "raising", compiled(raising), raising=False)
    with pytest.raises(RuntimeError, match=r"raising does not stand on its own"):
        Native("lowrank.raising", "int64").compile()


def test_arguments_of_other_types_are_refused() -> None:
    totals = np.zeros((1, 2, 2))
    for sums in (np.zeros((1, 2, 2), np.float32), np.zeros((2, 2)), np.zeros((1, 2, 4))[:, :, ::2]):
        with pytest.raises(TypeError, match="not a contiguous float64"):
            on_processor.accumulate(sums, 1, 1, 0, totals)
    with pytest.raises(TypeError, match="integer"):
        on_processor.accumulate(totals, 1.5, 1, 0, totals)
    with pytest.raises(TypeError, match="takes 5 arguments, not 4"):
        on_processor.accumulate(totals, 1, 1, 0)


def test_loading_imports_neither_numba_nor_torch() -> None:
    assert works(on_processor.accumulate)  # so it is kept
    code = (
        "import sys, numpy as np\n"
        "from ramekin.merge.loops.on_processor import accumulate\n"
        "from ramekin.merge import engine, stage\n"
        "accumulate(np.ones((1, 2, 2)), 1, 1, 0, np.ones((1, 2, 2)))\n"
        "print(sorted({'numba', 'torch', 'scipy', 'transformers'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
