"""A run that is killed, at any point, and started again gives what an undisturbed one gives, and leaves nothing."""

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Hub
from tests.integration import traps
from tests.integration.kitchen import Kitchen, Server, kitchen, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POINTS = 50
FRESH = 5
COMMIT = r"send POST /api/models/\S+/commit/main"

# Points between two fine steps, each by its label and how often that comes before it.
STEPS: list[dict[str, Any]] = [
    {"label": r"fsync \.merge\.lock\.part", "at": 1, "tear": True},  # the lock is half written
    {"label": r"rename merge\.lock", "at": 1},
    {"label": r"fsync \.digests\.json\.part", "at": 3, "tear": True},
    {"label": r"write .*\.incomplete", "at": 2},
    {"label": r"rename sha256-", "at": 2},
    {"label": r"pwrite", "at": 9},
    {"label": r"fsync model-00001-of-00002\.safetensors\.part", "at": 1, "tear": True},
    {"label": r"rename model-00002", "at": 1},
    {"label": r"fsync \.journal\.json\.part", "at": 2, "tear": True},
    {"label": r"fsync \.README\.md\.part", "at": 1, "tear": True},
    {"label": r"remove journal\.json", "at": 1},
    {"label": r"rename merge$", "at": 1},
    {"label": r"send POST /api/repos/create", "at": 1},
    {"label": r"send PUT /_upload", "at": 2},
    {"label": COMMIT, "at": 1},
]


@pytest.fixture(scope="module")
def open_kitchen() -> Iterator[tuple[Hub, Server]]:
    with opened() as made:
        yield made


def undisturbed(made: Kitchen, *arguments: str) -> tuple[dict[str, str], list[str]]:
    """The digests of an undisturbed run, and everything that it did."""
    journal = made.directory / "journal"
    made.ok("run", "merge.yaml", *arguments, trap={"journal": str(journal)})
    assert len(made.commits()) == 1
    return made.published(), journal.read_text().splitlines()


def points(labels: Sequence[str], count: int) -> list[int]:
    """Numbers of events, spread over all of them, and half of them over those that change a file."""
    choose = random.Random(2026)  # noqa: S311
    everything = range(1, len(labels) + 1)
    files = [n for n in everything if not traps.TRAFFIC.match(labels[n - 1])]
    chosen: list[int] = []
    for pool, share in ((everything, count // 2), (files, count - count // 2)):
        cuts = [len(pool) * k // share for k in range(share + 1)]
        chosen += [pool[choose.randrange(start, stop)] for start, stop in itertools.pairwise(cuts)]
    return sorted(chosen)


def after_the_commit(labels: Sequence[str]) -> int:
    """Number of the first event after the commit was sent."""
    return max(n for n, label in enumerate(labels) if re.search(r"POST \S+/commit/main", label)) + 2


def check(made: Kitchen, expected: dict[str, str], trap: dict[str, Any], *arguments: str, fresh: bool = False) -> bool:
    """Kill a run, run it again, and look at everything; returns whether it came to the kill."""
    command = ("run", "merge.yaml", *arguments)
    killed = (made.fresh if fresh else made.ramekin)(*command, trap=trap)
    assert killed.code in {-9, 0}, killed.err
    again = made.ramekin(*command)
    assert again.code == 0, f"{trap}: {again.err}"
    assert made.published() == expected, trap
    assert len(made.commits()) == 1, trap
    made.assert_clean(*(["out"] if arguments else []))
    return killed.code == -9


def test_at_any_point(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> None:
    with kitchen(*open_kitchen, tmp_path / "first") as made:
        expected, labels = undisturbed(made)
        made.assert_clean()
    # On a busy machine one run takes more steps than another: what the shorter one has, most have.
    with kitchen(*open_kitchen, tmp_path / "again") as made:
        labels = min(labels, undisturbed(made)[1], key=len)
    assert sum(name.endswith(".safetensors") for name in expected) == 2
    # Counted from the commit, not from the start: how many pieces traffic comes in differs, and adds up over a run.
    left = len(labels) - after_the_commit(labels) + 1
    chosen = STEPS + [{"after": COMMIT, "at": n} for n in range(left, 0, -2)]
    chosen += [{"at": n} for n in points(labels, POINTS - len(chosen))]
    assert len(chosen) == POINTS
    killed = 0
    for number, trap in enumerate(chosen):
        with kitchen(*open_kitchen, tmp_path / str(number)) as made:
            killed += check(made, expected, trap, fresh=number % (POINTS // FRESH) == 3)
    # Threads make a little more or less of it: the last few points may not be reached.
    assert killed >= POINTS - 4


def test_with_a_directory_of_the_users(open_kitchen: tuple[Hub, Server], tmp_path: Path) -> None:
    with kitchen(*open_kitchen, tmp_path / "first") as made:
        expected, labels = undisturbed(made, "--out", "out")
    last = after_the_commit(labels)
    for number, n in enumerate([*points(labels, 8), *range(last, len(labels) + 1, 3)]):
        with kitchen(*open_kitchen, tmp_path / str(number)) as made:
            check(made, expected, {"at": n}, "--out", "out")
            out = made.work / "out"
            hidden = [path for path in out.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
            assert hidden == []
            found = made.hub.store.get(made.target)
            head = found.refs()["refs/heads/main"]
            assert f'"commit": "{head}"' in (out / "ramekin/report.json").read_text()
            there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
            assert there | {".gitattributes"} == {*found.tree(found.read_commit(head))}
