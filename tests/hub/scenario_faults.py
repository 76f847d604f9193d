"""What the real client makes of a Hub that fails. Faults are planned through the control route, step by step."""

import os
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants, hf_hub_download

API = HfApi()
REPO = "org/model"
CONTROL = httpx2.Client(base_url=os.environ["HF_ENDPOINT"])
PIECE = 64 * 1024


def plan(facts: dict[str, Any], **fault: Any) -> None:
    headers = {"X-Control-Key": facts["control_key"]}
    CONTROL.delete("/_faults", headers=headers).raise_for_status()
    CONTROL.delete("/_log", headers=headers).raise_for_status()
    CONTROL.post("/_faults", headers=headers, json={"faults": [fault]}).raise_for_status()


def seen(facts: dict[str, Any], method: str) -> list[Any]:
    rows = CONTROL.get("/_log", headers={"X-Control-Key": facts["control_key"]}).json()["requests"]
    return [[one["status"], one["range"], one["sent"]] for one in rows if one["method"] == method]


def fetch(facts: dict[str, Any], name: str) -> dict[str, Any]:
    content = Path(hf_hub_download(REPO, name, revision=facts["commit"], force_download=True)).read_bytes()
    return {"size": len(content), "same": content == bytes([int(name[0])]) * len(content), "gets": seen(facts, "GET")}


def info_is_not_retried(facts: dict[str, Any]) -> None:
    plan(facts, kind="status", path="/api/models/org/model", status=503)
    API.model_info(REPO)


def tree_is_retried(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="status", path="/tree/", status=500)
    return {"files": len(API.list_repo_files(REPO, revision="main")), "gets": seen(facts, "GET")}


def limited_tree_is_retried(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="status", path="/tree/", status=429, headers={"Retry-After": "0"})
    return {"files": len(list(API.list_repo_tree(REPO))), "gets": seen(facts, "GET")}


def file_503_is_fatal(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="status", method="GET", path="/resolve/", status=503)
    return fetch(facts, "1.txt")


def file_429_is_retried(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="status", method="GET", path="/resolve/", status=429, headers={"RateLimit": '"api";r=0;t=0'})
    return fetch(facts, "1.txt")


def dropped_file_is_retried(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="drop-before", method="GET", path="/resolve/")
    return fetch(facts, "1.txt")


def truncated_file_is_fetched_again(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="truncate", method="GET", path="/resolve/", at=PIECE)
    return fetch(facts, "2.bin")


def truncated_file_is_resumed(facts: dict[str, Any]) -> dict[str, Any]:
    constants.DOWNLOAD_CHUNK_SIZE = PIECE
    plan(facts, kind="truncate", method="GET", path="/resolve/", at=3 * PIECE)
    return fetch(facts, "3.bin")


def damaged_file_is_taken(facts: dict[str, Any]) -> dict[str, Any]:
    plan(facts, kind="flip", method="GET", path="/resolve/", at=1000)
    return fetch(facts, "4.bin")


def damage_is_found(facts: dict[str, Any]) -> list[str]:
    found = API.verify_repo_checksums(REPO, revision=facts["commit"])
    return [one["path"] if isinstance(one, dict) else one.path for one in found.mismatches]


def head_is_slow(facts: dict[str, Any]) -> bool:
    plan(facts, kind="delay", method="HEAD", seconds=0.3)
    fetch(facts, "1.txt")
    rows = CONTROL.get("/_log", headers={"X-Control-Key": facts["control_key"]}).json()["requests"]
    return rows[0]["method"] == "HEAD" and rows[0]["seconds"] >= 0.3


def lost_answer(facts: dict[str, Any]) -> None:
    plan(facts, kind="drop-after", method="POST", path="/commit/")
    API.create_commit(REPO, [CommitOperationAdd("lost.txt", b"landed")], commit_message="Its answer is lost")


def lost_answer_landed(facts: dict[str, Any]) -> list[str]:
    plan(facts, kind="delay", times=0)
    return [one.title for one in API.list_repo_commits(REPO)]


def upload_is_retried(facts: dict[str, Any]) -> list[Any]:
    plan(facts, kind="status", method="PUT", path="/_upload/", status=500)
    API.upload_file(repo_id=REPO, path_or_fileobj=os.urandom(5000), path_in_repo="u.bin")
    return seen(facts, "PUT")


def every_second(facts: dict[str, Any]) -> list[Any]:
    plan(facts, kind="status", path="/api/whoami", status=418, every=2, times=None)
    return [CONTROL.get("/api/whoami-v2").status_code for _ in range(4)]


def without_key(facts: dict[str, Any]) -> list[int]:
    return [CONTROL.get("/_faults").status_code, CONTROL.get("/_log").status_code]


STEPS = {
    step.__name__: step
    for step in (
        info_is_not_retried,
        tree_is_retried,
        limited_tree_is_retried,
        file_503_is_fatal,
        file_429_is_retried,
        dropped_file_is_retried,
        truncated_file_is_fetched_again,
        truncated_file_is_resumed,
        damaged_file_is_taken,
        damage_is_found,
        head_is_slow,
        lost_answer,
        lost_answer_landed,
        upload_is_retried,
        every_second,
        without_key,
    )
}
