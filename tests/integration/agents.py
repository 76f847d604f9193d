"""A family of tiny agents with recorded runs of three benchmarks, for what watches models at work."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ramekin.demo.family import Bits, base_weights, checkpoint_files
from ramekin.hub import Hub
from tests.integration.conftest import CARD, EXPERTS, TINY, Done, World, push
from tests.integration.served import server

DATA: Final = "demo/runs"
SECRET: Final = "the-combination-of-the-safe"
_HUNDREDTHS: Final = {"coder": 3, "tool": 4, "memory": 5}

MANIFEST: Final = """version: 1
base: demo/base
experts:
  coder: demo/coder
  tool: demo/tool
  memory: demo/memory
method:
  name: arm
  pool: [average, {{name: task-arithmetic, weight: 0.7}}, ties]
  top_k: 0.2
  trace_dtype: float32
{method}benchmarks:
  code:
    expert: coder
    role: {{regex: "run (?P<span>.*)"}}
    calibration: ./code.jsonl
  calls:
    expert: tool
    role: tool-call
    calibration: hf://datasets/demo/runs@main/calls.jsonl
  notes:
    expert: memory
    role: assistant
    calibration: hf://datasets/demo/runs/notes.jsonl
{more}output:
  repo: {repo}
"""


def weights(name: str) -> dict[str, Bits]:
    """The base's, or those moved at random, enough to change what neurons do."""
    base = base_weights(TINY, seed=0)
    if name == "base":
        return base
    generator = np.random.default_rng([*EXPERTS].index(name) + 1)
    found = {}
    for tensor, bits in base.items():
        values = (bits.astype(np.uint32) << 16).view(np.float32)
        moved = values + generator.normal(0, _HUNDREDTHS[name] / 100, bits.shape).astype(np.float32) / 4
        found[tensor] = (moved.astype("<f4").view("<u4") >> 16).astype("<u2")
    return found


def checkpoint(name: str) -> dict[str, bytes]:
    """All files of one of them."""
    return checkpoint_files(weights(name), TINY, CARD.format(name=name, more=""))


def runs(kind: str, count: int = 7) -> bytes:
    """Recorded runs of one benchmark, two of them of one task."""
    lines = []
    for number in range(count):
        said = {
            "code": f"I will see. run ls -la /srv/{number}",
            "calls": f'<tool_call>\n{{"name": "find", "arguments": {{"id": {number}, "all": true}}}}\n</tool_call>',
            "notes": f"It is {SECRET}, and number {number * 37}.",
        }[kind]
        asked = {"role": "user", "content": f"Please do number {number} of {kind}."}
        told = {"role": "user", "content": "Thank you."}
        messages = [asked, {"role": "assistant", "content": said}, told, {"role": "assistant", "content": f"{said} OK"}]
        lines.append(
            json.dumps({"id": f"{kind}-{number}", "task_id": f"{kind}-{max(number, 1)}", "messages": messages})
        )
    return ("\n".join(lines) + "\n").encode()


def stock(hub: Hub) -> None:
    """Put checkpoints and runs on a Hub."""
    for name in ("base", *EXPERTS):
        push(hub, name, checkpoint(name))
    hub.store.create_repo(DATA, repo_type="dataset")
    files = {"README.md": b"---\nlicense: cc-by-4.0\n---\n"} | {
        f"{kind}.jsonl": runs(kind) for kind in ("calls", "notes")
    }
    hub.store.commit(DATA, files, message="runs", repo_type="dataset")


@dataclass
class WatchingWorld(World):
    """A world whose commands watch models at work, and find what that needs imported."""

    def ramekin(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Done:
        """Run the command line, in a process that is forked."""
        environment = self.environment | dict(env or {})
        return Done(*server("--models").run(arguments, self.directory, environment, timeout))


def write_manifest(
    world: World, method: str = "  repair: all\n", more: str = "", repo: str = "demo/agent", **changes: str
) -> Path:
    """Write the manifest and the local runs; `changes` are texts by those that they replace."""
    (world.directory / "code.jsonl").write_bytes(runs("code"))
    text = MANIFEST.format(method=method, more=more, repo=repo)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return world.manifest(text)


def contents(place: Path) -> dict[str, Any]:
    """All files of a merged directory; of the report all but the cost."""
    found: dict[str, Any] = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    report = json.loads(found["ramekin/report.json"])
    return found | {"ramekin/report.json": {key: value for key, value in report.items() if key != "cost"}}
