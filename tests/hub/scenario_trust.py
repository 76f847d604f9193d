"""The client's own trusted publishing, in one process for one resource: a repository, or a user to read as."""

import os
from typing import Any

from huggingface_hub import HfApi, get_token, hf_hub_download

API = HfApi()


def upload(repo: str, content: bytes = b"1" * 2000, **options: Any) -> Any:
    return API.upload_file(repo_id=repo, path_or_fileobj=content, path_in_repo="a.bin", **options)


def size(repo: str) -> int:
    return os.stat(hf_hub_download(repo, "model.safetensors")).st_size  # noqa: PTH116


STEPS = {
    "token": lambda facts: (get_token() or "")[:9],
    "write": lambda facts: upload("org/target").commit_url.startswith(os.environ["HF_ENDPOINT"]),
    "propose": lambda facts: upload("org/target", b"2" * 2000, create_pr=True).pr_num,
    "discuss": lambda facts: API.create_discussion("org/target", "a title", description="a text").num,
    "write_other": lambda facts: upload("org/other"),
    "propose_other": lambda facts: upload("org/other", create_pr=True),
    "discuss_other": lambda facts: API.create_discussion("org/other", "a title", description="a text").num,
    "comment_other": lambda facts: API.comment_discussion("org/other", 1, "a text").id,
    "write_dataset": lambda facts: upload("org/target", repo_type="dataset"),
    "read_own": lambda facts: API.model_info("org/target").private,
    "read_private": lambda facts: API.model_info("org/private").id,
    "read_gated": lambda facts: size("org/gated"),
    "read_public": lambda facts: size("org/other"),
    "create": lambda facts: API.create_repo("org/new"),
    "create_existing": lambda facts: str(API.create_repo("org/target", exist_ok=True)).endswith("/org/target"),
    "create_collection": lambda facts: API.create_collection("a title", namespace="org").slug,
    "delete": lambda facts: API.delete_repo("org/other"),
    "move": lambda facts: API.move_repo("org/target", "org/moved"),
    "who": lambda facts: API.whoami()["name"],
    "check_write": lambda facts: API.auth_check("org/target", write=True),
    "check_write_other": lambda facts: API.auth_check("org/other", write=True),
    "ask_access": lambda facts: API.accept_access_request("org/gated", "anna"),
}
