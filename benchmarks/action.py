"""How long it takes from the start of the Action's step to the plan in the pull request's comment.

The two steps of action.yml as they stand, one after the other, on a runner that has never seen ramekin: in an empty
RUNNER_TEMP, with the python3 that is named, and pip's cache as it is. GitHub and the Hub are on loopback.

    python benchmarks/action.py [--python python3] [--rounds 3] [--cold]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.github import events, loopback  # noqa: E402
from tests.github.acting import slim_action  # noqa: E402
from tests.github.loopback import Loopback  # noqa: E402
from tests.integration.conftest import EXPERTS, family_files, push  # noqa: E402

from ramekin.hub import Hub, serve  # noqa: E402

MANIFEST = "version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: ram+\noutput:\n  repo: demo/agent\n"
LINE = "installation {:.1f} s (processor {:.1f} s), plan and comment {:.1f} s (processor {:.1f} s)"
SCRIPTS = [step["run"] for step in YAML(typ="safe").load((ROOT / "action.yml").read_text())["runs"]["steps"]]


def once(hub: Hub, github: Loopback, python: str, place: Path, *, cold: bool) -> tuple[float, ...]:
    """Seconds of the clock and of processors for the installation, and for the plan."""
    name = f"acme/{place.name}"
    manifest = MANIFEST.format(experts="".join(f"  {expert}: demo/{expert}\n" for expert in EXPERTS))
    github.world.create(name, {"README.md": "nothing\n"})
    github.world.push(name, {"merge.yaml": manifest}, branch="new", message="A merge", by="acme")
    event = events.pull_request(github.world, name, github.world.open_pull(name, "new", title="A merge", by="acme"))
    for directory in ("temp", "workspace", "home", "bin"):
        (place / directory).mkdir()
    (place / "workspace" / "merge.yaml").write_text(manifest)
    (place / "event.json").write_text(json.dumps(event.payload))
    (place / "bin" / "python3").symlink_to(python)
    env = hub.env(place / "home", token="") | {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(slim_action(place.parent)),
        "GITHUB_API_URL": github.api_url,
        "GITHUB_SERVER_URL": github.url,
        "GITHUB_EVENT_NAME": event.name,
        "GITHUB_EVENT_PATH": str(place / "event.json"),
        "GITHUB_OUTPUT": str(place / "output"),
        "GITHUB_STEP_SUMMARY": str(place / "summary"),
        "GITHUB_REPOSITORY": name,
        "GITHUB_SHA": event.sha,
        "GITHUB_REF": event.ref,
        "GITHUB_RUN_ID": "1",
        "GITHUB_WORKSPACE": str(place / "workspace"),
        "RUNNER_TEMP": str(place / "temp"),
        **({"PIP_NO_CACHE_DIR": "1"} if cold else {}),
    }
    installing = step(SCRIPTS[0], env, place)
    made = (place / "output").read_text().removeprefix("python=").strip()
    token = github.world.job_token(name, contents="read", pull_requests="write")
    planning = step(SCRIPTS[1], env | {"RAMEKIN_PYTHON": made, "RAMEKIN_INPUT_GITHUB_TOKEN": token}, place)
    if not github.asked("POST", "/comments"):
        sys.exit("there is no comment")
    github.requests.clear()
    return *installing, *planning


def step(script: str, env: dict[str, str], place: Path) -> tuple[float, float]:
    """Run a step as GitHub does; returns the seconds that it took, and those of a processor."""
    begun = sum(os.times()[2:4]), time.perf_counter()
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, env=env, cwd=place / "workspace", capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    return time.perf_counter() - begun[1], sum(os.times()[2:4]) - begun[0]


def main() -> None:
    """Measure, and print a line for each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", default=getattr(sys, "_base_executable", sys.executable), help="the runner's python3"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="without pip's cache")
    chosen = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as directory, serve(f"{directory}/hub") as hub:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        with loopback.serve(Path(directory) / "github") as github:
            for number in range(chosen.rounds):
                place = Path(directory) / f"round-{number}"
                place.mkdir()
                rounds.append(once(hub, github, chosen.python, place, cold=chosen.cold))
                print(LINE.format(*rounds[-1]))
    print("medians:", LINE.format(*map(statistics.median, zip(*rounds, strict=True))))


if __name__ == "__main__":
    main()
