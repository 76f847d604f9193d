#!/usr/bin/env python3
"""Lint every workflow there is: our own, the Action, the examples, and all that `ramekin init` can write.

zizmor at its most suspicious, and the JSON Schemas of workflows, actions and Dependabot. Offline.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ramekin import __version__
from ramekin.origin import Origin
from ramekin.starter import Choices, starter_files

ROOT = Path(__file__).resolve().parents[1]
PINNED, UNKNOWN = Origin(__version__, "0" * 40, f"v{__version__}"), Origin(__version__)
# Each file both with and without all that it can have; no two choices change the same place of one.
STARTERS = {
    "plain": (Choices(), PINNED),
    "unknown": (Choices(), UNKNOWN),
    "comments": (Choices(comments=True), PINNED),
    "all": (Choices(comments=True, dashboard=True, trusted_publishing=True), PINNED),
}


def started(directory: Path) -> Iterator[Path]:
    """Write what `ramekin init` writes, for each choice into a directory of its own below `directory`."""
    for name, (choices, origin) in STARTERS.items():
        place = directory / name
        for path, text in starter_files(choices, origin).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text, "utf-8")
            if path.suffix == ".yml":
                yield place / path


def workflows() -> list[Path]:
    """Our own, and the examples."""
    return [*sorted(ROOT.glob(".github/workflows/*.yml")), *sorted(ROOT.glob("examples/workflows/*.yml"))]


def lint(files: list[Path]) -> int:
    """Lint workflows, the Action and Dependabot's settings; returns how many checks failed."""
    action, dependabot = ROOT / "action.yml", ROOT / ".github/dependabot.yml"
    failed = not fit("github-workflows", files)
    failed += not fit("github-actions", [action])
    failed += not fit("dependabot", [dependabot])
    return failed + (not audited([*files, action, dependabot]))


def fit(schema: str, files: list[Path]) -> bool:
    """Whether files fit a schema."""
    # As a process: within this one it would change how YAML is read ever after.
    command = [sys.executable, "-m", "check_jsonschema", "--quiet", "--builtin-schema", f"vendor.{schema}", *files]
    return not subprocess.run(command, check=False).returncode


def audited(files: list[Path]) -> bool:
    """Whether zizmor finds nothing in files."""
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [zizmor, "--offline", "--quiet", "--persona", "auditor", *files]
    return not subprocess.run(command, check=False).returncode


def main() -> int:
    """Lint them all; returns the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        return min(lint([*workflows(), *started(Path(directory))]), 1)


if __name__ == "__main__":
    sys.exit(main())
