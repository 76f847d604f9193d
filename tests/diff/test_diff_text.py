"""Two reports, or a report and a lock, side by side: what is told, and what is not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from diff_samples import comparison, evaluation, lock, overlap, report, source, write

from ramekin.diff.comparing import Difference, compare
from ramekin.diff.differing import find_difference
from ramekin.diff.sides import opened_side
from ramekin.diff.tables import bar
from ramekin.diff.text import difference_text
from ramekin.environment import Environment
from ramekin.errors import DamagedError
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

HUB = "https://hub.example"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(
        Environment.read({"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": HUB}), Terminal()
    )


def held(bench: Workbench, tmp_path: Path, a: Any, b: Any) -> Difference:
    names = [write(tmp_path / f"{name}.json", each) for name, each in (("a", a), ("b", b))]
    with opened_side(bench, names[0]) as first, opened_side(bench, names[1]) as second:
        return compare(first, second, HUB)


def lines(difference: Difference) -> list[str]:
    found = difference_text(difference).splitlines()
    assert all(len(line) <= 100 or HUB in line for line in found), [line for line in found if len(line) > 100]
    assert all(line == line.rstrip() for line in found)
    return found


def marked(difference: Difference) -> list[str]:
    """Lines of what differs, with single spaces."""
    return [re.sub(r"\s+", " ", line) for line in lines(difference) if line[:2] in {"~ ", "+ ", "- "}]


def test_the_same_twice(bench: Workbench, tmp_path: Path) -> None:
    found = held(bench, tmp_path, report(), report(ramekin="9.9.9", cost={"bytes_read": 7}))
    assert not found.differs
    assert marked(found) == []
    assert f"A, B  sha256:{'a' * 64}  one merge" in lines(found)


def test_sources_method_and_output(bench: Workbench, tmp_path: Path) -> None:
    other = report(
        key="sha256:" + "b" * 64,
        experts=[
            {"name": "coder"} | source("org/coder", "3", "cc-by-nc-4.0"),
            {"name": "memory"} | source("else/memory", "4"),
        ],
        base=source("./local/base", "5"),
        method={"name": "ties", "density": 0.2, "weight": {"coder": 0.5, "memory": 0.25}},
        output={"repo": "org/other", "files": {}},
    )
    found = held(bench, tmp_path, report(), other)
    assert found.differs
    text = lines(found)
    assert f"    {HUB}/org/coder/compare/{'1' * 40}..{'3' * 40}" in text
    assert "    licence: apache-2.0 -> cc-by-nc-4.0" in text
    assert "    in A: org/base" in text
    assert sum(HUB in line for line in text) == 1
    assert marked(found)[:7] == [
        "~ base ./local/base 0000000 -> 5555555 apache-2.0",
        "~ coder org/coder 1111111 -> 3333333 cc-by-nc-4.0",
        "+ memory else/memory 4444444 apache-2.0",
        "- tool org/tool 2222222 apache-2.0",
        "~ name ram+ -> ties",
        "+ density - -> 0.2",
        "+ weight - -> coder 0.5, memory 0.25",
    ]
    assert "~ repo org/agent -> org/other" in marked(found)
    data = found.to_data()
    assert [row["role"] for row in data["sources"] if row["differs"]] == ["base", "coder", "memory", "tool"]
    assert data["sources"][1]["url"] == f"{HUB}/org/coder/compare/{'1' * 40}..{'3' * 40}"
    assert json.loads(json.dumps(data)) == data


def test_statistics_by_name_whatever_the_order(bench: Workbench, tmp_path: Path) -> None:
    """The experts in another order have other patterns for the same thing."""
    turned = report(overlap=overlap({"00": 600, "01": 200, "10": 150, "11": 50}, ("tool", "coder")))
    assert not [row for row in held(bench, tmp_path, report(), turned).tables["patterns"] if row.differs]
    moved = report(overlap=overlap({"00": 500, "10": 300, "01": 200, "11": 0}))
    assert marked(held(bench, tmp_path, report(), moved)) == [
        "~ coder changed 250 300 +50",
        "~ density 25.000% 30.000% +5.000 pp",
        "~ rho 0.2500 0.0000 -0.2500",
        "~ rho 0.3333 0.0000 -0.3333",
        "~ nobody 60.000% 50.000% -10.000 pp",
        "~ coder 20.000% 30.000% +10.000 pp",
        "~ tool 15.000% 20.000% +5.000 pp",
        "~ coder + tool 5.000% 0.000% -5.000 pp",
    ]
    infinite = report(overlap=overlap({"00": 600, "10": 0, "01": 150, "11": 250}))
    assert "~ rho 0.2500 inf" in marked(held(bench, tmp_path, report(), infinite))


def test_scores_say_what_is_better(bench: Workbench, tmp_path: Path) -> None:
    found = held(
        bench,
        tmp_path,
        report(evaluation=evaluation(math=0.5, code=0.4, ppl_wiki=9.0)),
        report(evaluation=evaluation(math=0.55, code=0.4, ppl_wiki=9.5, tools=0.1)),
    )
    assert marked(found) == [
        "~ math acc 0.5000 0.5500 +0.0500 better",
        "~ ppl_wiki acc 9.0000 9.5000 +0.5000 worse",
        "+ tools acc - 0.1000",
    ]
    assert held(bench, tmp_path, report(evaluation=evaluation(math=0.5)), report()).tables["scores"] == ()


def test_choices_and_transplants(bench: Workbench, tmp_path: Path) -> None:
    def activation(neurons: int) -> dict[str, Any]:
        crossing = {"of_union": 0.1, "of_own": {}, "pairwise": {}}
        given = {"expert": "tool", "salient": 9, "protected": 0, "neurons": neurons, "applied": neurons}
        return {
            "top_k": 0.1, "chance": 0.1, "aos": {}, "mean_aos": {}, "aos_layer_mean": {}, "per_layer": {},
            "selected": "average", "margin": None, "neurons": 1000, "overlap": crossing, "rule": "all", "weak": ["tau"],
            "transplanted": {"tau": given | {"fraction": neurons / 1000, "per_layer": [neurons]}},
        }  # fmt: skip

    found = held(
        bench,
        tmp_path,
        report(comparison=comparison("average", tau=1.25), activation=activation(40)),
        report(comparison=comparison("ties", tau=1.0), activation=activation(50)),
    )
    assert marked(found) == [
        "~ selected average -> ties",
        "~ nats a token 1.2500 1.0000 -0.2500 better",
        "~ tau neurons 40 50 +10",
        "~ applied 40 50 +10",
        "~ fraction 4.000% 5.000% +1.000 pp",
    ]


def test_changed_by_layer_where_both_have_counted_it(bench: Workbench, tmp_path: Path) -> None:
    def counted(*anyone: int) -> dict[str, Any]:
        module = {"layers": [None, 0, 1], "elements": [10, 10, 10], "anyone": anyone, "several": [0] * 3, "experts": {}}
        return report(overlap=report()["overlap"] | {"modules": {"mlp": module, "attn": module}})

    found = held(bench, tmp_path, counted(1, 2, 3), counted(1, 2, 5))
    assert marked(found) == ["~ 1 6 10 +4"]
    assert held(bench, tmp_path, report(), counted(1, 2, 3)).layers == ()


def test_a_lock_against_a_report(bench: Workbench, tmp_path: Path) -> None:
    assert not held(bench, tmp_path, lock(), report()).differs
    data = lock()["experts"]["tool"] | {"repo_type": "dataset", "source": "org/runs"}
    runs = lock(data={"data:tau:calibration": data})
    assert not held(bench, tmp_path, runs, report()).differs, "a report knows nothing of recorded runs"
    other = lock(data={"data:tau:calibration": data | {"commit": "9" * 40}})
    found = held(bench, tmp_path, runs, other)
    assert found.sources[-1].url == f"{HUB}/datasets/org/runs/compare/{'2' * 40}..{'9' * 40}"
    assert found.tables == {}


def test_many_experts_and_files_are_cut(bench: Workbench, tmp_path: Path) -> None:
    names = tuple(f"expert-{n}" for n in range(8))
    patterns = {f"{n:08b}": 1000 - n for n in range(256)}
    files = {f"model-{n:05}-of-00300.safetensors": {"size": n, "sha256": "1" * 64} for n in range(300)}
    a = report(overlap=overlap(patterns, names))
    b = report(overlap=overlap(patterns | {"00000000": 5}, names), output={"repo": "org/agent", "files": files})
    text = lines(held(bench, tmp_path, a, b))
    assert len(text) < 200
    assert "  and 216 more, listed by --json" in text
    assert "  and 261 more, listed by --json" in text


EVIL = "x\x1b[31m\n::error::y\u202e" + "z" * 3000


def test_hostile_values_stay_on_their_line(bench: Workbench, tmp_path: Path) -> None:
    hostile = report(
        ramekin=EVIL,
        experts=[{"name": EVIL} | source(EVIL, "3", EVIL), {"name": "tool"} | source("a/../../b?x#y", "4")],
        overlap=overlap({"00": 1, "10": 2, "01": 3, "11": 4}, (EVIL, "tool")) | {"patterns": {EVIL: 3, "1": 2}},
        evaluation=evaluation(**{EVIL: 0.5}),
        comparison=comparison(EVIL, **{EVIL: 0.5}),
        output={"repo": EVIL, "files": {"m": {"size": 10**18, "sha256": "1" * 64}}},
    )
    for a, b in ((report(evaluation=evaluation(a=1)), hostile), (hostile, hostile | {"base": source(EVIL, "7", EVIL)})):
        found = held(bench, tmp_path, a, b)
        text = difference_text(found)
        assert all(char.isprintable() or char == "\n" for char in text)
        assert not re.search(r"^\s*::", text, re.MULTILINE)
        assert max(map(len, text.splitlines())) <= 100
        assert HUB not in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("version: 1\n", "is neither a lock nor a report"),
        ("[]", "is neither a lock nor a report"),
        ("[" * 200_000, "is neither a lock nor a report"),
        ('{"semantics": 1}', "cannot be read"),
        ('{"overlap": {}}', "cannot be read"),
    ],
)
def test_what_is_neither(bench: Workbench, tmp_path: Path, content: str, says: str) -> None:
    name = write(tmp_path / "x", content)
    with pytest.raises(DamagedError, match=says):
        find_difference(bench, name, name, weights=False)


def test_why_weights_are_not_compared(bench: Workbench, tmp_path: Path) -> None:
    changed = report(output={"repo": "org/agent", "files": {"model.safetensors": {"size": 10, "sha256": "2" * 64}}})
    names = [write(tmp_path / name, each) for name, each in (("a", report()), ("b", changed))]
    found = find_difference(bench, *names, weights=True)
    assert "Weights: not compared; a lock or a report alone has no weights" in lines(found)
    same = find_difference(bench, names[0], names[0], weights=False)
    assert "Weights: the same, by the digests in the reports" in lines(same)


def test_bars() -> None:
    assert bar(0.0, 1.0) == ""
    assert bar(1e-9, 1.0) == "▏"
    assert bar(0.5, 1.0) == "█" * 10
    assert bar(1.0, 1.0) == "█" * 20
    assert bar(0.0, 0.0) == ""
