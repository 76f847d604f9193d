"""The Hub as a process of its own: one line when it is ready, nothing lost when it is killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2


@contextmanager
def process(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-m", "ramekin.hub", "--root", str(root), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            yield running, json.loads(running.stdout.readline())
        finally:
            running.kill()


def test_kill_and_start_again(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with process(tmp_path / "hub", "--ready-file", str(ready)) as (running, told):
        assert json.loads(ready.read_text()) == told
        with httpx2.Client(base_url=told["url"], headers={"Authorization": f"Bearer {told['token']}"}) as client:
            client.post("/api/repos/create", json={"name": "model", "organization": "demo"}).raise_for_status()
            lines = [
                {"key": "header", "value": {"summary": "Add"}},
                {"key": "file", "value": {"path": "a.txt", "content": "aGVsbG8=", "encoding": "base64"}},
            ]
            body = "\n".join(map(json.dumps, lines))
            oid = client.post("/api/models/demo/model/commit/main", content=body).json()["commitOid"]
            large = {"oid": "2c" * 32, "size": 5}
            batch = {"operation": "upload", "transfers": ["basic"], "objects": [large]}
            answer = client.post("/demo/model.git/info/lfs/objects/batch", json=batch).json()
            href = answer["objects"][0]["actions"]["upload"]["href"]
        running.kill()
    with (
        process(tmp_path / "hub", "--port", told["url"].rpartition(":")[2]) as (_, again),
        httpx2.Client(base_url=again["url"]) as client,
    ):
        assert again["url"] == told["url"]
        assert client.get(f"/demo/model/resolve/{oid}/a.txt").text == "hello"
        assert client.get("/api/models/demo/model").json()["sha"] == oid
        # An invitation to upload outlives the restart; it does not let anything else in.
        refused = client.put(href, content=b"wrong")
        assert (refused.status_code, "sha256" in refused.text) == (400, True)
        assert client.put(href.replace("2c", "2d"), content=b"wrong").status_code == 403


def test_users_from_a_file(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    scope = {"target": "org/model", "rights": ["read", "write"]}
    job = {"name": "job", "token": "hf_job", "role": "fine-grained", "organizations": ["org"], "scopes": [scope]}
    users.write_text(json.dumps([job]))
    with (
        process(tmp_path / "hub", "--users", str(users)) as (_, told),
        httpx2.Client(base_url=told["url"], headers={"Authorization": "Bearer hf_job"}) as client,
    ):
        assert told["token"] == "hf_job"
        assert client.get("/api/whoami-v2").json()["auth"]["accessToken"]["role"] == "fineGrained"
        assert client.post("/api/repos/create", json={"name": "model", "organization": "org"}).status_code == 403
