"""The upload of a folder by way of xet storage, in batches, while answers get lost."""

import os
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from scenario_faults import plan

API = HfApi()
REPO = "org/folder"


def upload(facts: dict[str, Any]) -> list[str]:
    API.create_repo(REPO)
    plan(facts, kind="drop-after", method="POST", path="/commit/main")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.bin", "b.bin"):
            Path(folder, name).write_bytes(os.urandom(60_000))
        Path(folder, "c.txt").write_text("c")
        API.upload_folder(repo_id=REPO, folder_path=folder, commit_message="A folder")
        sent = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    fetched = Path(snapshot_download(REPO))
    assert all((fetched / name).read_bytes() == content for name, content in sent.items())
    return [one.title for one in API.list_repo_commits(REPO)]


def without_namespace(facts: dict[str, Any]) -> str:
    return hf_hub_download("no-namespace", "config.json")


STEPS = {"upload": upload, "without_namespace": without_namespace}
