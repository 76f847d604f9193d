"""What the report says of where recorded runs and scores are from."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from test_deciding import DONORS, answer

from ramekin.arm.reporting import _calibration
from ramekin.digests import json_digest
from ramekin.lock.model import CardFacts, PinnedFile, PinnedSource

FILES = {"runs/tau.jsonl": PinnedFile(size=1, sha256="0" * 64)}


def pinned(source: str, kind: Any, digit: str) -> PinnedSource:
    return PinnedSource(source=source, kind=kind, commit=digit * 40, card=CardFacts(), files=FILES)


def question(**scores: dict[str, float]) -> Any:
    """All benchmarks have runs, `tau` development runs on the Hub, and `shop` local ones."""
    data = {f"data:{name}:calibration": pinned("org/runs", "hub", "1") for name in DONORS}
    data |= {"data:tau:dev": pinned("org/dev", "hub", "2"), "data:shop:dev": pinned("./dev", "local", "3")}
    benchmarks = {name: SimpleNamespace(scores=scores.get(name, {}), role="call") for name in DONORS}
    return SimpleNamespace(
        lock=SimpleNamespace(data=data),
        manifest=SimpleNamespace(benchmarks=benchmarks, card=SimpleNamespace(samples=True)),
    )


def test_development_runs_are_told_with_their_source() -> None:
    found = answer()
    told = {name: _calibration(each, question(), found, name) for name, each in found.materials.items()}
    dev = told["tau"].dev
    assert dev is not None
    assert (dev.source, dev.commit, dev.file, dev.on_hub) == ("org/dev", "2" * 40, "runs/tau.jsonl", True)
    assert told["shop"].dev is not None
    assert not told["shop"].dev.on_hub
    assert told["os"].dev is None
    assert {each.scored for each in told.values()} == {None}


def test_scores_are_given_or_measured() -> None:
    found = answer()
    asked = question(tau={"tool": 0.5}, os={"web": 0.5})
    for measured in found.observed.candidates.values():
        measured.right["os"] = [1.0]
    told = {name: _calibration(each, asked, found, name).scored for name, each in found.materials.items()}
    for measured in found.observed.candidates.values():
        del measured.right["os"]
    assert told == {"tau": "given", "shop": None, "os": "measured"}


def test_what_was_read_is_told_by_digest() -> None:
    """Of all trajectories, development ones apart, and in whatever order they stand in the file."""
    found = answer()
    told = {name: _calibration(each, question(), found, name) for name, each in found.materials.items()}
    for name, each in found.materials.items():
        assert each.dev
        for role, digest in ((each.role, told[name].data_sha256), (each.dev, told[name].dev_sha256)):
            assert digest == json_digest(sorted(traced.digest for traced in role.trajectories))
    each = found.materials["tau"]
    turned = replace(each, role=replace(each.role, trajectories=each.role.trajectories[::-1]), dev=None, template="ab")
    again = _calibration(turned, question(), found, "tau")
    assert (again.data_sha256, again.dev_sha256, again.template) == (told["tau"].data_sha256, None, "ab")
    fewer = replace(each, role=replace(each.role, trajectories=each.role.trajectories[1:]))
    assert _calibration(fewer, question(), found, "tau").data_sha256 != told["tau"].data_sha256
