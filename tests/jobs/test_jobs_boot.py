"""What a job's first process does, as `python3 -c` runs it: install what is missing, run the command, tell its end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ramekin.jobs
from ramekin import __version__
from ramekin.environment import Environment
from ramekin.jobs.message import Envelope
from ramekin.jobs.parcel import Parcel, pack
from ramekin.manifest.reading import read_manifest
from ramekin.preparing import Request
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

BOOT = (Path(ramekin.jobs.__file__).parent / "boot.py").read_text()
TOKEN = "hf_token_of_the_boot_test"
MANIFEST = (
    "version: 1\nbase: org/base\nexperts: {a: org/a, b: org/b}\nmethod: {name: ram}\noutput: {repo: org/merged}\n"
)
PIP = """
import os, sys
print("pip was called with", sys.argv[1:], sorted(os.environ))
with open(f"/proc/{os.getppid()}/environ") as file:
    print("its parent has", file.read().split("\\0"))
print("files that it has been left", sorted(os.listdir("/proc/self/fd")))
sys.exit(int(os.environ.get("STUB_CODE", "3")))
"""


class Stand:
    """As much of a `Prepared` as is packed, with a lock that is none."""

    def __init__(self, path: Path) -> None:
        self.loaded = read_manifest(path)
        self.lock: Any = type("Lock", (), {"to_json": lambda _: "{}"})()
        self.plan: Any = type("Plan", (), {"target": type("Target", (), {"repo": "org/merged"})})


@pytest.fixture
def sent(tmp_path: Path) -> Parcel:
    path = tmp_path / "merge.yaml"
    path.write_text(MANIFEST)
    stand: Any = Stand(path)
    return pack(Workbench(Environment.read({}), Terminal()), stand, Request(path))


def boot(sent: Parcel, home: Path, **variables: str) -> tuple[int, str, Envelope]:
    """Be a job; returns its exit code, its log and what it has sent."""
    home.mkdir()
    env = {
        "PATH": os.defpath,
        "HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "1",
        **sent.environment,
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-c", BOOT],
        env=env,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    envelope = Envelope(sent.mark)
    log = [line for line in done.stdout.splitlines() if not envelope.take(line)]
    return done.returncode, "\n".join(log), envelope


def test_the_command_runs_and_its_end_is_told(sent: Parcel, tmp_path: Path) -> None:
    code, log, envelope = boot(sent, tmp_path / "home")
    assert code == 3
    assert "merge.lock: is no lock of this version" in log
    assert envelope.message
    error = envelope.message["result"]["error"]
    assert (envelope.message["code"], error["exit_code"], error["reason"]) == (3, 3, "lock")
    assert "Traceback" not in log
    assert TOKEN not in log


@pytest.mark.parametrize("missing", [{"RAMEKIN_JOB_VERSION": "0.0.1"}, {"RAMEKIN_JOB_NEEDS": "no_such_module"}])
def test_what_is_missing_is_installed_without_the_token(sent: Parcel, tmp_path: Path, missing: dict[str, str]) -> None:
    (tmp_path / "stub" / "pip").mkdir(parents=True)
    (tmp_path / "stub" / "pip" / "__init__.py").touch()
    (tmp_path / "stub" / "pip" / "__main__.py").write_text(PIP)
    code, log, envelope = boot(sent, tmp_path / "home", PYTHONPATH=str(tmp_path / "stub"), GITHUB_TOKEN="x", **missing)
    assert code == 3
    version = missing.get("RAMEKIN_JOB_VERSION", __version__)
    assert f"installing ramekin[merge] {version}" in log
    assert f"'ramekin[merge]=={version}'" in log
    assert "'RAMEKIN_JOB_MARK'" in log
    assert "'RAMEKIN_JOB_VERSION=" in log.partition("its parent has")[2]
    assert "HF_TOKEN" not in log
    assert TOKEN not in log
    assert envelope.message is None


def test_the_command_has_the_token_once_it_is_installed(sent: Parcel, tmp_path: Path) -> None:
    (tmp_path / "stub" / "pip").mkdir(parents=True)
    (tmp_path / "stub" / "pip" / "__init__.py").touch()
    (tmp_path / "stub" / "pip" / "__main__.py").write_text(PIP)
    look = "import os, sys\nprint(os.environ['HF_TOKEN'][::-1], 'RAMEKIN_JOB_HELD' in os.environ)\nsys.exit(5)\n"
    text = BOOT.replace('"-m", "ramekin.jobs.inside"', f'"-c", {look!r}')
    assert text != BOOT
    env = {"PATH": os.defpath, "HF_TOKEN": TOKEN, **sent.environment, "RAMEKIN_JOB_VERSION": "0.0.1"}
    env |= {"PYTHONPATH": str(tmp_path / "stub"), "STUB_CODE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert f"{TOKEN[::-1]} False" in done.stdout


def test_starting_a_job_takes_neither_torch_nor_numpy() -> None:
    look = (
        "import sys, ramekin.jobs.running; print(sorted({'torch', 'numpy', 'numba', 'transformers'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
