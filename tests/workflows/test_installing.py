"""How the Action installs itself: what for, from where, with nothing of the workspace and no token in sight."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ramekin.action import installing
from ramekin.action.entry import command_of
from ramekin.action.event import Event
from ramekin.errors import UsageError

SCRIPT = Path(installing.__file__)
EVENTS = (
    "pull_request",
    "push",
    "workflow_dispatch",
    "schedule",
    "repository_dispatch",
    "issues",
    "issue_comment",
    "fork",
)
TOKENS = {
    "HF_TOKEN": "hf_aaaaaaaaaaaa",
    "GITHUB_TOKEN": "ghs_bbbbbbbbbbbb",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "cccccccccccc",
    "RAMEKIN_INPUT_HF_TOKEN": "hf_dddddddddddd",
    "MY_SECRET": "eeeeeeeeeeee",
}


@pytest.mark.parametrize("event", EVENTS)
def test_events_mean_what_they_mean_to_the_program(event: str) -> None:
    try:
        command: str = command_of(None, Event(event))
    except UsageError:
        command = ""
    assert installing.DEFAULTS.get(event, "") == (command if command in {"run", "comment"} else "")


@pytest.mark.parametrize(
    ("given", "merges"),
    [
        ({"GITHUB_EVENT_NAME": "pull_request"}, False),
        ({"GITHUB_EVENT_NAME": "push"}, True),
        ({"GITHUB_EVENT_NAME": "workflow_dispatch"}, True),
        ({"GITHUB_EVENT_NAME": "schedule"}, False),
        ({"GITHUB_EVENT_NAME": "push", "RAMEKIN_INPUT_COMMAND": "plan"}, False),
        ({"GITHUB_EVENT_NAME": "schedule", "RAMEKIN_INPUT_COMMAND": " run "}, True),
        ({"GITHUB_EVENT_NAME": "push", "RAMEKIN_INPUT_ON": "hf-jobs:a10g-small"}, False),
        ({"RAMEKIN_INPUT_COMMAND": "update", "RAMEKIN_INPUT_POLICY": "pull-request"}, False),
        ({"RAMEKIN_INPUT_COMMAND": "update", "RAMEKIN_INPUT_POLICY": "merge"}, True),
        ({"RAMEKIN_INPUT_COMMAND": "update", "RAMEKIN_INPUT_POLICY": "merge", "RAMEKIN_INPUT_ON": "hf-jobs:x"}, False),
        ({"RAMEKIN_INPUT_COMMAND": "plan", "RAMEKIN_INPUT_POLICY": "merge"}, False),
        ({}, False),
    ],
)
def test_only_what_merges_here_needs_what_merges(given: dict[str, str], *, merges: bool) -> None:
    assert installing.needed_extras(given) == (("action", "merge") if merges else ("action",))


@pytest.mark.parametrize(
    ("body", "merges"),
    [("/ramekin run --pr", True), ("/ramekin plan", False), ("I'd say /ramekin run --pr", False), (None, False)],
)
def test_a_comment_tells_what_it_needs(body: str | None, *, merges: bool, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"comment": {"body": body}}))
    env = {"GITHUB_EVENT_NAME": "issue_comment", "GITHUB_EVENT_PATH": str(event)}
    assert ("merge" in installing.needed_extras(env)) == merges
    assert installing.needed_extras(env | {"GITHUB_EVENT_PATH": str(tmp_path)}) == ("action",)


def test_what_is_asked_for_is_in_pyproject() -> None:
    light, whole = installing.requirements(("action",)), installing.requirements(("action", "merge"))
    assert whole[: len(light)] == light
    assert any(each.startswith("pygithub") for each in light)
    assert not any(each.startswith(("torch", "numpy", "ramekin")) for each in light)
    assert any(each.startswith("torch") for each in whole)
    # It would be looked for on the index.
    assert not any(each.startswith("ramekin") for each in whole)


def test_the_installer_sees_no_token() -> None:
    kept = {"PATH": "/bin", "PIP_INDEX_URL": "https://index", "https_proxy": "http://proxy", "HOME": "/home"}
    others = {"GITHUB_ENV": "/env", "PYTHONPATH": "/workspace", "BASH_ENV": "/workspace/x", "LD_PRELOAD": "/x.so"}
    assert installing.visible(kept | TOKENS | others) == kept


@pytest.mark.parametrize("version", [(3, 6), (3, 10)])
def test_a_python_that_is_too_old_is_told(version: tuple[int, int]) -> None:
    with pytest.raises(installing.NotInstalled, match=rf"is 3\.{version[1]}, and ramekin needs 3\.11\. Put") as caught:
        installing.check_python(version)
    assert (caught.value.reason, caught.value.code) == ("usage", 2)
    installing.check_python((3, 11))


def test_an_old_python_gets_as_far_as_being_told() -> None:
    ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 8))
    tree = ast.parse(SCRIPT.read_text("utf-8"))
    imported = {
        name.partition(".")[0]
        for node in tree.body
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names - {"tomllib"}


@pytest.mark.parametrize(
    ("pip", "own", "then"),
    [((26, 3), False, []), ((23, 2), False, ["pip>=25.1"]), ((22, 0), True, ["pip>=25.1"]), ((), True, ["pip>=25.1"])],
)
def test_whatever_pip_the_runner_has_a_quick_one_installs(
    pip: tuple[int, ...], then: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(installing, "_runners_pip", lambda: pip)
    monkeypatch.setattr(installing, "_run", lambda command, *_: commands.append(command))
    installing._packages(tmp_path / "made").mkdir(parents=True)
    monkeypatch.setattr(installing.shutil, "rmtree", lambda *_, **__: None)
    installing._make(tmp_path / "made", {})
    assert commands[0][:4] == [sys.executable, "-I", "-m", "venv"]
    assert ("--without-pip" in commands[0]) != own
    assert [command[-1] for command in commands[1:]] == then
    assert (installing._packages(tmp_path / "made") / "ramekin.pth").read_text() == f"{installing.ROOT / 'bot'}\n"


def script(env: dict[str, str], workspace: Path) -> subprocess.CompletedProcess[str]:
    inherited = {"PATH": os.environ["PATH"], "HOME": str(workspace)}
    command = [sys.executable, "-I", str(SCRIPT)]
    return subprocess.run(command, env=inherited | env, cwd=workspace, capture_output=True, text=True, check=False)


def test_an_input_that_means_nothing_is_told_to_the_runner(tmp_path: Path) -> None:
    output = tmp_path / "output"
    done = script({"RAMEKIN_INPUT_PYTHON": "evil\n::x::", "GITHUB_OUTPUT": str(output)}, tmp_path)
    assert done.returncode == 2
    assert done.stdout.startswith("::error title=ramekin::the input `python` is neither")
    assert done.stdout.count("\n") == 1
    assert output.read_text() == "failure-reason=usage\n"


def test_it_installs_once_for_a_job_and_runs_nothing_of_the_workspace(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    workspace, temporary, output = tmp_path / "workspace", tmp_path / "temporary", tmp_path / "output"
    workspace.mkdir()
    temporary.mkdir()
    for module in ("json", "pip", "venv", "hashlib", "ramekin", "sitecustomize", "usercustomize"):
        (workspace / f"{module}.py").write_text(f"open({str(tmp_path / 'trapped')!r}, 'w')\n")
    # No index: with the runner's own packages there is nothing to fetch.
    env = TOKENS | {
        "RUNNER_TEMP": str(temporary),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_EVENT_NAME": "push",
        "RAMEKIN_INPUT_PYTHON": "system",
        "PIP_NO_INDEX": "1",
    }
    first = script(env, workspace)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "ramekin[action,merge] is ready" in first.stdout
    python = Path(output.read_text().removeprefix("python=").strip())
    assert python.is_relative_to(temporary)
    made = python.parents[1] / "ramekin-installed.json"
    before = made.stat().st_mtime_ns
    assert script(env | {"GITHUB_EVENT_NAME": "pull_request"}, workspace).returncode == 0
    assert made.stat().st_mtime_ns == before
    assert len([*temporary.iterdir()]) == 1

    look = (
        "import ramekin.action, github, importlib.util, sys\n"
        "assert importlib.util.find_spec('torch')\n"
        "print(ramekin.action.__file__, sys.prefix)"
    )
    shown = subprocess.run([python, "-P", "-c", look], cwd=workspace, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(SCRIPT.with_name("__init__.py")), str(python.parents[1])]
    assert not (tmp_path / "trapped").exists()
    assert not [token for token in TOKENS.values() if token in first.stdout + first.stderr]


def test_what_cannot_be_had_is_told(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    env = {"RUNNER_TEMP": str(tmp_path / "temporary"), "GITHUB_OUTPUT": str(tmp_path / "output"), "PIP_NO_INDEX": "1"}
    done = script(env | {"PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}, tmp_path)
    assert done.returncode == 8
    assert "::error title=ramekin::the packages that ramekin needs could not be installed" in done.stdout
    assert (tmp_path / "output").read_text() == "failure-reason=resources\n"
    assert not [*tmp_path.rglob("ramekin-installed.json")]
