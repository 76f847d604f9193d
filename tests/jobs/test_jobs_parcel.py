"""What travels to a job arrives as it was, and nothing else does."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ramekin.environment import Environment
from ramekin.errors import UsageError
from ramekin.jobs import parcel
from ramekin.jobs.inside import receive, told, unpack
from ramekin.jobs.message import Envelope
from ramekin.jobs.parcel import check_can_travel, pack
from ramekin.manifest.reading import read_manifest
from ramekin.plan.objections import Permissions
from ramekin.preparing import Request
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

MANIFEST = """
version: 1
base: org/base
experts: {a: org/a, b: org/b}
method: {name: arm}
benchmarks:
  tau: {expert: a, role: tool-call, calibration: ./calibration/tau.jsonl}
  far: {expert: b, role: tool-call, calibration: 'hf://datasets/org/data/far.jsonl'}
evaluate:
  tasks: [{name: tau, benchmark: tau}]
  command: [/bin/sh, ./score.sh]
  reads: [./questions]
output: {repo: org/merged}
card: {template: own.md.jinja}
"""


class Stand:
    """As much of a `Prepared` as is packed."""

    def __init__(self, path: Path, lock: str = "{}\n") -> None:
        self.loaded = read_manifest(path)
        self.lock: Any = type("Lock", (), {"to_json": lambda _: lock})()
        self.plan: Any = type("Plan", (), {"target": type("Target", (), {"repo": "org/merged"})})


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name in ("calibration/tau.jsonl", "questions/one", "questions/deep/two", "own.md.jinja", "score.sh", "other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"this is {name}\n")
    (tmp_path / "score.sh").chmod(0o755)
    path = tmp_path / "agent.yaml"
    path.write_text(MANIFEST)
    return path


def bench(**variables: str) -> Workbench:
    return Workbench(Environment.read({"HF_TOKEN": "hf_token_of_a_test", **variables}), Terminal())


def packed(manifest: Path, request: Request | None = None, lock: str = "{}\n", **variables: str) -> parcel.Parcel:
    stand: Any = Stand(manifest, lock)
    return pack(bench(**variables), stand, request or Request(manifest))


def test_all_that_the_manifest_names_arrives(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    request = Request(manifest, allowed=Permissions(adopt=True, namespaces=frozenset({"b", "a"})), pull_request=True)
    sent = packed(manifest, request, lock='{"the": "lock"}\n', RAMEKIN_RETRY_WAIT="0.5")
    assert "hf_token_of_a_test" not in str(sent)
    env = {**sent.environment, "KEPT": "1"}
    mark, arguments, files = receive(env)
    assert env.keys() == {"KEPT", "RAMEKIN_RETRY_WAIT", "HF_HUB_DISABLE_PROGRESS_BARS"}
    assert mark == sent.mark
    assert arguments == [
        "run", "--locked", "--json", "--pr", "--adopt", "--allowed-namespaces=a,b", "--device=auto", "--", "agent.yaml",
    ]  # fmt: skip
    place = tmp_path_factory.mktemp("job")
    unpack(files, place)
    found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert found == {
        "agent.yaml", "agent.lock", "calibration/tau.jsonl", "questions/one", "questions/deep/two", "own.md.jinja",
        "score.sh",
    }  # fmt: skip
    for name in found - {"agent.lock"}:
        assert (place / name).read_bytes() == (manifest.parent / name).read_bytes()
    assert (place / "agent.lock").read_text() == '{"the": "lock"}\n'
    assert os.access(place / "score.sh", os.X_OK)


def test_the_same_is_known_again_and_something_else_is_not(manifest: Path) -> None:
    first = packed(manifest)
    assert packed(manifest).digest == first.digest
    assert packed(manifest).mark != first.mark
    assert packed(manifest, replace(Request(manifest), force=True)).digest != first.digest
    assert packed(manifest, lock='{"another": 1}').digest != first.digest
    (manifest.parent / "own.md.jinja").write_text("another card")
    assert packed(manifest).digest != first.digest


def test_variables_are_short_enough_for_a_system_and_too_much_is_refused(manifest: Path) -> None:
    (manifest.parent / "questions" / "one").write_bytes(os.urandom(200_000))
    sent = packed(manifest)
    assert max(map(len, sent.environment.values())) < 128 << 10
    assert int(sent.environment["RAMEKIN_JOB_FILES"]) > 1
    (manifest.parent / "questions" / "one").write_bytes(os.urandom(400_000))
    with pytest.raises(UsageError, match=r"comes to 40\d kB, and 300 kB can travel"):
        packed(manifest)


def test_what_leads_out_of_the_directory_does_not_travel(manifest: Path) -> None:
    (manifest.parent / "calibration" / "tau.jsonl").unlink()
    (manifest.parent / "calibration" / "tau.jsonl").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="outside of the manifest's directory"):
        check_can_travel(read_manifest(manifest), Request(manifest))
    (manifest.parent / "calibration" / "tau.jsonl").unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        check_can_travel(read_manifest(manifest), Request(manifest))


def test_of_a_stranger_nothing_is_run_elsewhere_either(manifest: Path) -> None:
    with pytest.raises(UsageError, match="is not to be trusted"):
        check_can_travel(read_manifest(manifest), Request(manifest, trusted=False))
    signer: Any = object()
    with pytest.raises(UsageError, match="neither your private key"):
        check_can_travel(read_manifest(manifest), Request(manifest, signer=signer))


def test_what_was_printed_is_sent_back_without_the_plan() -> None:
    mark = "ramekin-" + "0" * 32
    for printed, result in ((b'{"plan": {"private": 1}, "key": "k"}', {"key": "k"}), (b"x", {}), (b"[1]", {})):
        envelope = Envelope(mark)
        for line in told(mark, 5, printed):
            envelope.take(line)
        assert envelope.message == {"code": 5, "result": result}
