"""What `make bench` holds against what was asked for, from figures that are made up."""

import importlib
import shutil
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MIB = 1 << 20


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("processes", "sizes", "tables", "targets")
    return types.SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def figures(modules: Any, size: str, scale: float, peak: int, others: Sequence[str] = ()) -> Any:
    """A run in which everything but mergekit takes `scale` seconds, twice its bytes."""

    def row(name: str, against: str, wall: float) -> Any:
        found = modules.tables.Row(size, name, against)
        found.rounds.append(modules.processes.Measured(wall, wall, peak * MIB))
        found.cats.append(scale / 4)
        found.copies.append(scale / 4)
        return found

    rows = [row("ramekin stats", "cat", scale / 4)]
    rows += [row(f"ramekin {name}", "cat + cp", scale) for name in ("ram", "ram+", "ties")]
    rows += [row(f"mergekit {name}", "cat + cp", 12 * scale) for name in others]
    rows.append(modules.tables.Row(size, "mergekit linear", "cat + cp"))  # it failed
    return modules.tables.Figures(size, 1, True, rows)


def told(modules: Any, *found: Any, **more: str) -> list[list[str]]:
    lines = list(modules.targets.asked_table(found, **more))
    return [[cell.strip() for cell in line.strip("|").split("|")][2:] for line in lines[4:-1]]


def test_a_run_that_has_all_sizes(modules: Any) -> None:
    run = (
        figures(modules, "0.5", 1.0, 300, ["ram", "ties"]),
        figures(modules, "1.5", 3.0, 310),
        figures(modules, "3", 6.0, 345),
    )
    assert told(modules, *run) == [
        ["2.00", "1.5B", "yes"],
        ["2.00", "1.5B", "yes"],
        ["2.00", "1.5B to 3B", "**no**"],
        ["2.00", "1.5B to 3B", "**no**"],
        ["12.00", "0.5B", "**no**"],
        ["12.00", "0.5B", "yes"],
        ["1.00", "1.5B", "yes"],
        ["345.00 MiB", "ramekin ties, 3B", "yes"],
        ["15.00 %", "ramekin ties", "**no**"],
    ]


def test_what_the_run_has_not(modules: Any) -> None:
    found = told(modules, figures(modules, "0.5", 1.0, 300), mergekit="mergekit was not run")
    assert found[0] == found[6] == ["not measured", "no 1.5B", ""]
    assert found[2] == ["not measured", "no 1.5B and no 3B", ""]
    assert found[4] == found[5] == ["not measured", "mergekit was not run", ""]
    assert found[7] == ["300.00 MiB", "ramekin ties, 0.5B", "yes"]
    assert found[8] == ["not measured", "no 1.5B and no 3B", ""]


def test_sizes_that_do_not_fit_are_left_out_with_a_word(
    modules: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes, notes = modules.sizes, list[str]()
    free = types.SimpleNamespace(free=20 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    monkeypatch.setattr(sizes, "available_memory", lambda: 20 << 30)
    assert sizes.sizes_of(None, tmp_path, notes) == ["0.5", "1.5"]
    assert "37 GB of disk are needed, 21 GB are free" in notes[0]
    free.free = 100 << 30
    assert sizes.sizes_of(None, tmp_path, notes) == ["0.5", "1.5"]
    assert "more than the page cache can hold" in notes[1]
    assert sizes.sizes_of("3,0.5,warm", tmp_path, notes) == ["warm", "0.5", "3"]
    assert [*sizes.mergekit_at("0.5", ["ram"], None, notes)] == ["ram"]
    assert [*sizes.mergekit_at("1.5", ["ram"], None, notes)] == []
    assert "some 27 GB of memory, 21 GB are there" in notes[2]
    assert [*sizes.mergekit_at("1.5", ["ram"], "1.5", notes)] == ["ram"]
    assert len(notes) == 3
