"""One client per kind of user; each is told apart as on the Hub."""

import os
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

FILE = "model.safetensors"


def as_user(facts: dict[str, Any], name: str) -> HfApi:
    return HfApi(token=facts["tokens"][name] if name else False)


def info(name: str, repo: str) -> Any:
    return lambda facts: as_user(facts, name).model_info(repo).id


def read(name: str, repo: str) -> Any:
    return lambda facts: os.path.getsize(hf_hub_download(repo, FILE, token=facts["tokens"][name] if name else False))  # noqa: PTH202


def write(name: str, repo: str, *, create_pr: bool = False) -> Any:
    operation = [("x.txt", name.encode() + os.urandom(4))]
    return lambda facts: (
        as_user(facts, name)
        .create_commit(repo, [CommitOperationAdd(*one) for one in operation], commit_message="x", create_pr=create_pr)
        .pr_num
    )


def create(name: str, repo: str, *, exist_ok: bool = False) -> Any:
    return lambda facts: str(as_user(facts, name).create_repo(repo, exist_ok=exist_ok))


def check(name: str, repo: str, *, write: bool = False) -> Any:
    return lambda facts: as_user(facts, name).auth_check(repo, write=write)


STEPS = {
    "wrong_token": lambda facts: HfApi(token="hf_wrong").whoami(),
    "no_token": lambda facts: HfApi(token=False).whoami(),
    "private_anonymous": info("", "org/private"),
    "private_stranger": info("stranger", "org/private"),
    "private_member": info("member", "org/private"),
    "private_exists_for_stranger": lambda facts: as_user(facts, "stranger").repo_exists("org/private"),
    "private_file_stranger": read("stranger", "org/private"),
    "gated_info_anonymous": info("", "org/gated"),
    "gated_file_anonymous": read("", "org/gated"),
    "gated_file_stranger": read("stranger", "org/gated"),
    "gated_file_granted": read("granted", "org/gated"),
    "gated_file_member": read("member", "org/gated"),
    "gated_check_stranger": check("stranger", "org/gated"),
    "disabled": info("member", "org/disabled"),
    "public_anonymous": read("", "org/public"),
    "write_stranger": write("stranger", "org/public"),
    "write_reader": write("reader", "org/public"),
    "write_member": write("member", "org/public"),
    "pull_stranger": write("stranger", "org/public", create_pr=True),
    "check_write_reader": check("reader", "org/public", write=True),
    "check_write_member": check("member", "org/public", write=True),
    "create_stranger": create("stranger", "org/new"),
    "create_stranger_there": create("stranger", "org/public", exist_ok=True),
    "create_own": create("stranger", "stranger/own"),
    "job_info": info("job", "org/private"),
    "job_write": write("job", "org/private"),
    "job_write_elsewhere": write("job", "org/public"),
    "job_create": create("job", "org/another"),
}
