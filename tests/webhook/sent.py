"""Manifests, and what the Hub sends about their sources."""

import json
from pathlib import Path
from typing import Any

MANIFEST = """\
version: 1
base: org/base
experts:
  coder: org/coder
  tool: {{repo: Org/Tool, revision: dev}}
  fixed: org/fixed@{commit}
  near: ./near
method:
  name: ram+
output:
  repo: me/{output}
"""
SECRET = "whsec-q7Zp2XkV9sLw4TnB"
NEW = "a" * 40


def manifest(directory: Path, name: str = "merge.yaml", output: str = "agent") -> Path:
    path = directory / name
    path.write_text(MANIFEST.format(commit="f" * 40, output=output))
    return path


def delivery(name: str = "org/coder", refs: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A delivery as the Hub writes it: version 3, with all that nobody here reads."""
    moved = {"refs/heads/main": NEW} if refs is None else refs
    repo = {"type": "model", "name": name, "id": "6", "private": False, "owner": {"id": "7"}, "headSha": NEW}
    sent = {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": repo | {"url": {"web": f"https://hub/{name}", "api": f"https://hub/api/models/{name}"}},
        "webhook": {"id": "8", "version": 3},
        "updatedRefs": [{"ref": ref, "oldSha": "b" * 40, "newSha": commit} for ref, commit in moved.items()],
    }
    return sent | more


def raw(name: str = "org/coder", refs: dict[str, str] | None = None, **more: Any) -> bytes:
    return json.dumps(delivery(name, refs, **more)).encode()
