#!/usr/bin/env python3
"""What `action.yml` starts first: puts ramekin, as it lies beside `action.yml`, into an environment of its own.

It runs under the runner's own Python, whatever that is, before anything is installed: standard library only, and
nothing that an older Python cannot parse. Nothing is built: the environment gets the dependencies, as wheels, and a
path to the source. A second step of the same job finds the environment made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Mapping, NoReturn  # noqa: UP035 - parsed by older Pythons, which are then told to go

ROOT: Final = Path(__file__).resolve().parents[3]
"""The Action's own checkout."""
_OLDEST: Final = (3, 11)
_OLDEST_PIP: Final = (22, 3)  # the first that installs into another environment
_QUICK_PIP: Final = (25, 1)  # older ones take twice as long to look through an index
DEFAULTS: Final = {"push": "run", "workflow_dispatch": "run", "issue_comment": "comment"}
"""What `ramekin.action.entry` does by default on events; whatever is not here merges nothing."""
_LARGEST_EVENT: Final = 32 << 20
# All that an installer may see: where things are, how the index is reached. No token has such a name.
_SEEN: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|TEMP|TMP|XDG_\w+|LD_LIBRARY_PATH|NETRC|PIP_\w+|SSL_CERT_(FILE|DIR)|"
    r"(REQUESTS|CURL)_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|CONDA_PREFIX|VIRTUAL_ENV|SYSTEMROOT",
    re.IGNORECASE,
)
# What only the runner's own Python is asked with: they change what it sees.
_PYTHON: Final = ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE")
_ASK: Final = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
try:
    torch = version("torch")
except PackageNotFoundError:
    torch = None
print(json.dumps({"path": sys.path, "torch": torch}))
"""


class NotInstalled(Exception):  # noqa: N818 - it is told to people, by its reason
    """Why ramekin could not be installed: a word for `failure-reason`, the exit code, what happened, what to do."""

    def __init__(self, reason: str, code: int, what: str, hint: str) -> None:
        super().__init__(f"{what}. {hint}")
        self.reason = reason
        self.code = code


def main(env: Mapping[str, str]) -> int:
    """Make the environment, and tell the next step where its Python is; returns the exit code."""
    try:
        outputs, code = {"python": str(install(env))}, 0
    except NotInstalled as error:
        text = str(error).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=ramekin::{text}", flush=True)  # noqa: T201 - how a runner is told
        outputs, code = {"failure-reason": error.reason}, error.code
    if env.get("GITHUB_OUTPUT"):
        with Path(env["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in outputs.items())
    return code


def install(env: Mapping[str, str]) -> Path:
    """Make the environment, or find it made; returns its Python.

    Raises:
        NotInstalled: The runner's Python is too old, an input means nothing, or packages could not be had.
    """
    begun = time.monotonic()
    check_python(sys.version_info[:2])
    extras = needed_extras(env)
    wanted = requirements(extras)
    shared = _shares_packages(env)
    directory = _directory(env, shared=shared)
    python, made = directory / "bin" / "python", directory / "ramekin-installed.json"
    have: list[str] = json.loads(made.read_text("utf-8")) if made.is_file() else []
    missing = [requirement for requirement in wanted if requirement not in have]
    if missing:
        made.unlink(missing_ok=True)
        if not have:
            _make(directory, env)
        constraints = _share(directory, env, merges="merge" in extras) if shared else []
        _pip(directory, missing, constraints, env)
        made.write_text(json.dumps([*have, *missing]), "utf-8")
    seconds = time.monotonic() - begun
    print(f"ramekin[{','.join(extras)}] is ready in {directory} ({seconds:.1f} s)", flush=True)  # noqa: T201 - the log
    return python


def check_python(version: tuple[int, ...]) -> None:
    """Refuse a Python that ramekin does not run on.

    Raises:
        NotInstalled: It is too old.
    """
    if version < _OLDEST:
        what = "the runner's python3 is {}.{}, and ramekin needs {}.{}".format(*version[:2], *_OLDEST)
        raise NotInstalled("usage", 2, what, "Put a step with actions/setup-python before this one")


def needed_extras(env: Mapping[str, str]) -> tuple[str, ...]:
    """Which of ramekin's extras this step needs: `merge` only where something is merged on this very machine."""
    command = env.get("RAMEKIN_INPUT_COMMAND", "").strip() or DEFAULTS.get(env.get("GITHUB_EVENT_NAME", ""), "")
    merges = (
        command == "run"
        or (command == "update" and env.get("RAMEKIN_INPUT_POLICY", "").strip() == "merge")
        or (command == "comment" and _asks_for_a_run(env))
    )
    elsewhere = bool(env.get("RAMEKIN_INPUT_ON", "").strip())
    return ("action", "merge") if merges and not elsewhere else ("action",)


def requirements(extras: tuple[str, ...]) -> list[str]:
    """What pyproject.toml asks for."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [requirement for extra in extras for requirement in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *named]


def visible(env: Mapping[str, str]) -> dict[str, str]:
    """What of the job's variables the installer sees."""
    return {name: value for name, value in env.items() if _SEEN.fullmatch(name)}


def _asks_for_a_run(env: Mapping[str, str]) -> bool:
    """Whether a comment might ask for a run; whether it may is looked into by those who obey it."""
    try:
        with Path(env.get("GITHUB_EVENT_PATH", "")).open("rb") as file:
            body = json.loads(file.read(_LARGEST_EVENT))["comment"]["body"]
        return str(body).lstrip().startswith("/ramekin run")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _shares_packages(env: Mapping[str, str]) -> bool:
    chosen = env.get("RAMEKIN_INPUT_PYTHON", "").strip()
    if chosen not in {"", "venv", "system"}:
        raise NotInstalled("usage", 2, "the input `python` is neither `venv` nor `system`", "Write one of them")
    return chosen == "system"


def _directory(env: Mapping[str, str], *, shared: bool) -> Path:
    """The environment's place: its own for each Python, each choice, and each version of the Action in a job."""
    temporary = env.get("RUNNER_TEMP", "")
    if not temporary:
        raise NotInstalled("usage", 2, "RUNNER_TEMP is not set", "Start this as a step of GitHub Actions")
    made_of = json.dumps([sys.executable, sys.version, str(ROOT), shared])
    return Path(temporary).resolve() / f"ramekin-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def _make(directory: Path, env: Mapping[str, str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    # Without one of its own it is there in no time; the runner's installs into it.
    pip = _runners_pip()
    options = ["--without-pip"] if pip >= _OLDEST_PIP else []
    _run([sys.executable, "-I", "-m", "venv", *options, str(directory)], env, "an environment could not be made")
    if pip < _QUICK_PIP:
        _pip(directory, ["pip>={}.{}".format(*_QUICK_PIP)], [], env)
    _packages(directory).joinpath("ramekin.pth").write_text(f"{ROOT / 'bot'}\n", "utf-8")


def _runners_pip() -> tuple[int, ...]:
    """Version of the pip of the runner's python3; nothing where it has none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(int(part) for part in re.findall(r"\d+", version("pip"))[:2])
    except PackageNotFoundError:
        return ()


def _share(directory: Path, env: Mapping[str, str], *, merges: bool) -> list[str]:
    """Let the environment see what the runner's own Python sees, and keep its torch; returns constraints.

    A path file does, where an environment's own way to see the system's packages would not: the runner's Python may be
    an environment itself.
    """
    asked = visible(env) | {name: env[name] for name in _PYTHON if name in env}
    # `-P`: what lies in the workspace may be anybody's.
    answer = subprocess.run([sys.executable, "-P", "-c", _ASK], env=asked, capture_output=True, check=False)
    if answer.returncode:
        raise NotInstalled("usage", 2, "the runner's python3 cannot be asked for its packages", "Look at its set-up")
    found = json.loads(answer.stdout)
    if merges and not found["torch"]:
        what = "`python: system` is set, and the runner's python3 has no torch"
        raise NotInstalled("usage", 2, what, "Install it there, or leave out `python: system`")
    places = [place for place in found["path"] if Path(place).name in {"site-packages", "dist-packages"}]
    lines = [f"import site; site.addsitedir({place!r})\n" for place in places]
    _packages(directory).joinpath("runner.pth").write_text("".join(lines), "utf-8")
    return [f"torch=={found['torch']}"] if found["torch"] else []


def _packages(directory: Path) -> Path:
    return directory / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _pip(directory: Path, wanted: list[str], constraints: list[str], env: Mapping[str, str]) -> None:
    python = directory / "bin" / "python"
    begin = [sys.executable, "-I", "-m", "pip", "--python", str(python)]
    if (_packages(directory) / "pip").is_dir():
        begin = [str(python), "-I", "-m", "pip"]
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--only-binary", ":all:"]
    if constraints:
        file = directory / "ramekin-constraints.txt"
        file.write_text("\n".join(constraints) + "\n", "utf-8")
        options += ["--constraint", str(file)]
    _run([*begin, "install", *options, "--", *wanted], env, "the packages that ramekin needs could not be installed")


def _run(command: list[str], env: Mapping[str, str], what: str) -> None:
    # Not in the workspace, whose files may be anybody's.
    done = subprocess.run(command, env=visible(env), cwd=env["RUNNER_TEMP"], check=False)
    if done.returncode:
        hint = "What is printed above says why; run the job again if it was the network"
        raise NotInstalled("resources", 8, what, hint)


def _leave() -> NoReturn:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main(os.environ))


if __name__ == "__main__":
    _leave()
