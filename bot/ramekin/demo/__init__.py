"""The offline demonstration: a family of small models, an embedded Hub, and the whole road from manifest to card."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ramekin.demo.family import Size, base_weights, checkpoint_files, trained_weights
from ramekin.demo.page import standalone
from ramekin.errors import InternalError, UsageError
from ramekin.terminal import Terminal

if TYPE_CHECKING:
    from ramekin.hub import Hub

_MARK: Final = ".ramekin-demo"
_OUTPUT: Final = "demo/agent"
_EXPERTS: Final = {"coder": 0.032, "tool": 0.462, "memory": 0.543}
"""The demo's experts with the share of weights that training changed: those that the RAM paper reports."""

_MANIFEST: Final = f"""\
version: 1
base: demo/base
experts:
  coder: demo/coder
  tool: demo/tool
  memory: demo/memory
method:
  name: ram+
output:
  repo: {_OUTPUT}
card:
  title: Demo agent
  summary: One generalist from three tiny experts. They are random, and know nothing.
"""


def run_demo(directory: Path, terminal: Terminal, *, serve: bool = False) -> None:
    """Run the demonstration in a directory, which is made anew, and tell where everything is.

    Raises:
        UsageError: The directory holds something else, or the extra `demo` is not installed.
        InternalError: A step did not do what it should.
    """
    try:
        from ramekin import hub as embedded
    except ImportError as error:
        raise UsageError(
            f"the demonstration needs more packages ({error.name} is missing)", "pip install 'ramekin[demo]'"
        ) from error
    _make_room(directory)
    started = time.monotonic()
    with embedded.serve(directory / "hub") as hub:
        steps = _Steps(directory, hub, terminal)
        steps.push_family()
        first = steps.publish()
        steps.say("Publishing again: the Hub holds this merge already")
        steps.ramekin("run", "merge.yaml")
        steps.say("Anyone can derive the weights again, and compare every bit")
        steps.ramekin("verify", _OUTPUT, "--remerge")
        steps.say("An expert gets new weights")
        steps.push_expert("coder", seed=9)
        steps.ramekin("check", "merge.yaml")
        steps.ramekin("lock", "merge.yaml", "--upgrade")
        second = steps.publish()
        page = hub.browse(f"/{_OUTPUT}")
        (directory / "page.html").write_text(standalone(page))
        around = page if serve else f"ramekin demo --dir {directory} --serve"
        _tell(terminal, directory, [first["commit"], second["commit"]], time.monotonic() - started, around)
        if serve:
            _wait(terminal)


def _make_room(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        if not (directory / _MARK).exists():
            raise UsageError(f"{directory}: holds something else", "choose another directory with --dir")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARK).touch()


class _Steps:
    """The steps of the demonstration."""

    def __init__(self, directory: Path, hub: "Hub", terminal: Terminal) -> None:
        self._directory = directory.absolute()
        self._hub = hub
        self._terminal = terminal
        self._size = Size()
        self._base = base_weights(self._size, seed=0)
        self._environment = hub.env(self._directory / "home")
        self._environment.pop("CI", None)

    def say(self, text: str) -> None:
        """Tell what comes next."""
        self._terminal.note(f"\n── {text}")

    def push_family(self) -> None:
        """Put base and experts onto the Hub, and write the manifest."""
        self.say("A base and three experts, on an embedded Hub")
        self._push("base", self._base, "license: apache-2.0\nlanguage: [en]\npipeline_tag: text-generation")
        for seed, name in enumerate(_EXPERTS, start=1):
            self.push_expert(name, seed)
        (self._directory / "merge.yaml").write_text(_MANIFEST)

    def push_expert(self, name: str, seed: int) -> None:
        """Train an expert, so to speak, and put it onto the Hub."""
        front = "license: apache-2.0\nbase_model: demo/base\npipeline_tag: text-generation"
        self._push(name, trained_weights(self._base, _EXPERTS[name], seed), front)

    def _push(self, name: str, weights: Any, front: str) -> None:
        store, repo = self._hub.store, f"demo/{name}"
        if store.find(repo) is None:
            store.create_repo(repo)
        card = f"---\n{front}\n---\n# {name}\n\nA tiny model of the ramekin demonstration.\n"
        commit = store.commit(repo, checkpoint_files(weights, self._size, card), message=f"Weights of {name}")
        self._terminal.note(f"{self._hub.url}/{repo} at {commit.id[:7]}")

    def publish(self) -> dict[str, Any]:
        """Plan, then merge and publish; returns what `ramekin run --json` tells."""
        self.say("What would a merge do, and cost?")
        self.ramekin("plan", "merge.yaml")
        self.say("Merge and publish, in one commit")
        shutil.rmtree(self._directory / "agent", ignore_errors=True)
        done = json.loads(self.ramekin("run", "merge.yaml", "--out", "agent", "--json", show=False))
        self._terminal.note(f"{done['url']}\n{done['key']}")
        return dict(done)

    def ramekin(self, *arguments: str, show: bool = True) -> str:
        """Run a command as its users do, as a process of its own."""
        self._terminal.note(f"$ ramekin {' '.join(arguments)}")
        command = [sys.executable, "-m", "ramekin", *arguments]
        done = subprocess.run(
            command, cwd=self._directory, env=self._environment, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise InternalError(
                f"`ramekin {' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()[-500:]}",
                "report it, please",
            )
        if show:
            self._terminal.note(done.stdout.rstrip())
        return done.stdout


def _tell(terminal: Terminal, directory: Path, commits: list[str], seconds: float, around: str) -> None:
    agent = directory / "agent"
    plots = [str(plot) for plot in sorted((agent / "ramekin" / "plots").glob("*.svg"))]
    data = {
        "card": str(agent / "README.md"),
        "plots": plots,
        "page": str(directory / "page.html"),
        "repo": _OUTPUT,
        "commits": commits,
        "seconds": round(seconds, 1),
    }
    lines = [
        f"\nDone in {seconds:.0f} s: two merges, two commits, each derived from pinned weights.",
        f"  card    {data['card']}",
        *(f"  plot    {plot}" for plot in plots),
        f"  page    {data['page']}",
        f"  commit  {commits[-1]} of {_OUTPUT}",
        f"  To look around on the Hub itself: {around}",
    ]
    terminal.result("\n".join(lines), data)


def _wait(terminal: Terminal) -> None:
    terminal.note("the embedded Hub goes on until you press Ctrl-C")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
