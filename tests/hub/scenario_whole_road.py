"""Every call that a publishing tool makes, in the order in which it makes them."""

import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.utils import build_hf_headers

API = HfApi()
ENDPOINT = os.environ["HF_ENDPOINT"]
REPO = "demo/model"
WEIGHTS = b"".join(struct.pack("<f", number) for number in range(50_000))
CARD = "---\nlicense: apache-2.0\nlibrary_name: transformers\nbase_model: [org/a, org/b]\ntags: [merge]\n---\n# Model\n"


def safetensors(data: bytes) -> bytes:
    header = {"weight": {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def oid(facts: dict[str, Any], step: str) -> str:
    return facts[step]["oid"]


def commit(facts: dict[str, Any]) -> dict[str, Any]:
    parent = API.model_info(REPO).sha
    operations = [
        CommitOperationAdd("README.md", CARD.encode()),
        CommitOperationAdd("model.safetensors", safetensors(WEIGHTS)),
        CommitOperationAdd("sub/ü & b.json", b"{}"),
        CommitOperationAdd("sub/empty.safetensors", b""),
    ]
    info = API.create_commit(REPO, operations, commit_message="Weights\n\nand a body", parent_commit=parent)
    return {"oid": info.oid, "url": info.commit_url, "parent": parent}


def commit_short_parent(facts: dict[str, Any]) -> dict[str, Any]:
    operations = [
        CommitOperationCopy("model.safetensors", "copy.safetensors"),
        CommitOperationDelete("sub/", is_folder=True),
    ]
    info = API.create_commit(REPO, operations, commit_message="Copy", parent_commit=oid(facts, "commit")[:7])
    return {"oid": info.oid, "files": sorted(API.list_repo_files(REPO))}


def commit_stale(facts: dict[str, Any]) -> None:
    operation = CommitOperationAdd("x.txt", b"x")
    API.create_commit(REPO, [operation], commit_message="Late", parent_commit=oid(facts, "commit"))


def commit_nothing(facts: dict[str, Any]) -> dict[str, Any]:
    operation = CommitOperationAdd("README.md", CARD.encode())
    info = API.create_commit(REPO, [operation], commit_message="Same", create_pr=True)
    return {"oid": info.oid, "pull": info.pr_url}


def commit_delete_missing(facts: dict[str, Any]) -> None:
    API.create_commit(REPO, [CommitOperationDelete("nothing.txt")], commit_message="Delete")


def open_pull(facts: dict[str, Any]) -> dict[str, Any]:
    operations = [
        CommitOperationAdd("pull.txt", b"from a pull request"),
        CommitOperationAdd("pull.bin", os.urandom(70_000)),
    ]
    info = API.create_commit(REPO, operations, commit_message="A pull request", create_pr=True)
    read = Path(hf_hub_download(REPO, "pull.txt", revision=info.pr_revision)).read_text()
    return {"num": info.pr_num, "revision": info.pr_revision, "read": read}


def pull_life(facts: dict[str, Any]) -> dict[str, Any]:
    num = facts["open_pull"]["num"]
    opened = API.get_discussion_details(REPO, num)
    said = API.comment_discussion(REPO, num, "A comment")
    edited = API.edit_discussion_comment(REPO, num, said.id, "An edited comment")
    hidden = API.hide_discussion_comment(REPO, num, said.id)
    renamed = API.rename_discussion(REPO, num, "Another title")
    closed = API.change_discussion_status(REPO, num, "closed", comment="Not now")
    API.change_discussion_status(REPO, num, "open")
    API.merge_pull_request(REPO, num, comment="In it goes")
    merged = API.get_discussion_details(REPO, num)
    return {
        "opened": [opened.status, opened.is_pull_request, opened.target_branch, opened.conflicting_files],
        "diff": opened.diff,
        "events": [event.type for event in merged.events],
        "edited": [edited.content, edited.edited],
        "hidden": hidden.hidden,
        "renamed": renamed.new_title,
        "closed": closed.new_status,
        "merged": [merged.status, merged.merge_commit_oid == API.model_info(REPO).sha],
        "has": API.file_exists(REPO, "pull.txt"),
    }


def draft_merge(facts: dict[str, Any]) -> None:
    draft = API.create_pull_request(REPO, "A draft")
    assert draft.status == "draft"
    API.merge_pull_request(REPO, draft.num)


def upload_pull(facts: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "more.txt").write_text("more")
        Path(folder, "more.bin").write_bytes(os.urandom(50_000))
        info = API.upload_folder(repo_id=REPO, folder_path=folder, create_pr=True, commit_message="A folder")
        files = API.list_repo_files(REPO, revision=info.pr_revision)
        return {"status": API.get_discussion_details(REPO, info.pr_num).status, "there": "more.bin" in files}


def discussion(facts: dict[str, Any]) -> dict[str, Any]:
    opened = API.create_discussion(REPO, "A question", description="Why?")
    found = list(API.get_repo_discussions(REPO))
    only = list(API.get_repo_discussions(REPO, discussion_type="pull_request"))
    return {
        "content": opened.events[0].content,
        "all": [one.title for one in found],
        "pulls": [one.is_pull_request for one in only],
    }


def upload_folder(facts: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "README.md").write_text(CARD + "More.\n")
        Path(folder, "a.bin").write_bytes(bytes(range(256)) * 1000)
        Path(folder, "model.safetensors").write_bytes(safetensors(WEIGHTS))
        info = API.upload_folder(repo_id=REPO, folder_path=folder, commit_message="A folder")
        again = API.upload_folder(repo_id=REPO, folder_path=folder, commit_message="The same")
        return {"new": info.oid == API.model_info(REPO).sha, "again": again.oid == info.oid}


def preupload(facts: dict[str, Any]) -> bool:
    addition = CommitOperationAdd("big.bin", os.urandom(1_500_000))
    API.preupload_lfs_files(REPO, [addition])
    info = API.create_commit(REPO, [addition], commit_message="Preuploaded")
    return info.oid == API.model_info(REPO).sha


def model_info(facts: dict[str, Any]) -> dict[str, Any]:
    info = API.model_info(REPO, revision=oid(facts, "commit"), files_metadata=True)
    lfs = {one.rfilename: one.lfs.sha256 for one in info.siblings if one.lfs}
    sizes = {one.rfilename: one.size for one in info.siblings}
    expanded = API.model_info(REPO, expand=["sha", "gated", "safetensors"])
    return {
        "id": info.id,
        "tags": info.tags,
        "license": info.card_data.license,
        "parents": info.card_data.base_model,
        "lfs": lfs,
        "sizes": sizes,
        "parameters": info.safetensors.parameters,
        "expanded": [expanded.sha, expanded.gated, expanded.safetensors.total, expanded.tags],
    }


def tree(facts: dict[str, Any]) -> dict[str, Any]:
    revision = oid(facts, "commit")
    deep = API.list_repo_tree(REPO, recursive=True, revision=revision, expand=True)
    inside = API.list_repo_tree(REPO, "sub", revision=revision)
    paths = API.get_paths_info(REPO, ["sub", "model.safetensors", "nothing"], revision=revision, expand=True)
    return {
        "deep": [[one.path, getattr(one, "size", None), one.last_commit.title] for one in deep],
        "inside": [one.path for one in inside],
        "paths": [one.path for one in paths],
        "xet": next(one.xet_hash for one in paths if one.path == "model.safetensors") is not None,
    }


def refs(facts: dict[str, Any]) -> dict[str, Any]:
    API.create_branch(REPO, branch="dev/x", revision=oid(facts, "commit"))
    API.create_branch(REPO, branch="dev/x", exist_ok=True)
    API.create_tag(REPO, tag="v1", revision=oid(facts, "commit"), tag_message="First")
    API.create_tag(REPO, tag="v1", exist_ok=True)
    API.create_tag(REPO, tag="gone")
    API.delete_tag(REPO, tag="gone")
    found = API.list_repo_refs(REPO, include_pull_requests=True)
    at_tag = API.model_info(REPO, revision="v1").sha
    on_branch = API.upload_file(repo_id=REPO, path_or_fileobj=b"b", path_in_repo="b.txt", revision="dev/x").oid
    API.super_squash_history(REPO, branch="dev/x")
    squashed = API.list_repo_commits(REPO, revision="dev/x")
    API.delete_branch(REPO, branch="dev/x")
    return {
        "branches": [one.name for one in found.branches],
        "tags": [one.name for one in found.tags],
        "pulls": [one.ref for one in found.pull_requests],
        "at_tag": at_tag == oid(facts, "commit"),
        "moved": on_branch != at_tag,
        "squashed": [len(squashed), squashed[0].commit_id != on_branch],
    }


def commits(facts: dict[str, Any]) -> list[list[Any]]:
    return [[one.title, one.authors, one.message] for one in API.list_repo_commits(REPO)]


def snapshot(facts: dict[str, Any]) -> dict[str, Any]:
    folder = Path(snapshot_download(REPO, revision=oid(facts, "commit")))
    return {
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
        "weights": (folder / "model.safetensors").read_bytes() == safetensors(WEIGHTS),
        "name": folder.name == oid(facts, "commit"),
        "verified": API.verify_repo_checksums(REPO, revision=oid(facts, "commit")).checked_count,
    }


def ranges(facts: dict[str, Any]) -> dict[str, Any]:
    url = f"{ENDPOINT}/{REPO}/resolve/main/model.safetensors"
    whole = safetensors(WEIGHTS)
    asked = {
        "bytes=0-9": whole[:10],
        "bytes=100-": whole[100:],
        "bytes=-7": whole[-7:],
        f"bytes={len(whole) - 3}-{len(whole) + 50}": whole[-3:],
        "bytes=5-2": whole,
        "bytes=0-1,4-5": whole,
        "lines=1-2": whole,
    }
    found = {}
    client = httpx2.Client(headers=build_hf_headers())
    for header, content in asked.items():
        answer = client.get(url, headers={"Range": header})
        found[header] = [answer.status_code, answer.content == content, answer.headers.get("content-range")]
    beyond = client.get(url, headers={"Range": f"bytes={len(whole)}-"})
    head = client.head(url)
    return {
        "found": found,
        "beyond": [beyond.status_code, beyond.headers["content-range"]],
        "head": [head.status_code, int(head.headers["content-length"]), len(head.content)],
        "size": len(whole),
        "raw": client.get(url.replace("resolve", "raw")).text,
    }


def parsed(facts: dict[str, Any]) -> dict[str, Any]:
    found = API.get_safetensors_metadata(REPO)
    return {"sharded": found.sharded, "parameters": found.parameter_count}


def card(facts: dict[str, Any]) -> list[str]:
    ModelCard(CARD).validate()
    loaded = ModelCard.load(REPO)
    return loaded.data.tags


def card_with_wrong_license(facts: dict[str, Any]) -> None:
    ModelCard("---\nlicense: apache-2.0-or-later\n---\n# x").validate()


def collection(facts: dict[str, Any]) -> dict[str, Any]:
    made = API.create_collection("Merged agents", namespace="demo", description="All of them")
    same = API.create_collection("Merged agents", namespace="demo", exists_ok=True)
    API.add_collection_item(made.slug, REPO, "model", note="The first")
    API.add_collection_item(made.slug, REPO, "model", exists_ok=True)
    found = API.get_collection(made.slug)
    listed = [(one.slug, len(one.items)) for one in API.list_collections(owner="demo")]
    assert listed == [(made.slug, 1)], listed
    assert list(API.list_collections(owner="somebody")) == []
    return {"same": same.slug == made.slug, "items": [[one.item_id, one.note] for one in found.items]}


def dataset(facts: dict[str, Any]) -> dict[str, Any]:
    API.create_repo("demo/data", repo_type="dataset")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.jsonl").write_text('{"a": 1}\n')
        Path(folder, "train.parquet").write_bytes(os.urandom(30_000))
        API.upload_folder(repo_id="demo/data", repo_type="dataset", folder_path=folder)
        content = Path(folder, "train.parquet").read_bytes()
    fetched = Path(snapshot_download("demo/data", repo_type="dataset"))
    return {"same": (fetched / "train.parquet").read_bytes() == content, "sha": API.dataset_info("demo/data").sha}


def moved(facts: dict[str, Any]) -> dict[str, Any]:
    API.create_repo("demo/old")
    API.upload_file(repo_id="demo/old", path_or_fileobj=b"x", path_in_repo="x.txt")
    API.move_repo("demo/old", "demo/new")
    read = Path(hf_hub_download("demo/old", "x.txt")).read_text()
    named = API.model_info("demo/old").id
    API.update_repo_settings("demo/new", gated="manual", visibility="private")
    info = API.model_info("demo/new")
    API.delete_repo("demo/new")
    return {"read": read, "named": named, "settings": [info.gated, info.private], "left": API.repo_exists("demo/new")}


def listed(facts: dict[str, Any]) -> list[str]:
    return [one.id for one in API.list_models(author="demo", filter="base_model:merge:org/a")]


STEPS = {
    "whoami": lambda facts: API.whoami()["name"],
    "create": lambda facts: str(API.create_repo(REPO, private=True)),
    "create_again": lambda facts: str(API.create_repo(REPO, exist_ok=True)),
    "create_twice": lambda facts: str(API.create_repo(REPO)),
    "first_commit": lambda facts: [one.authors for one in API.list_repo_commits(REPO)],
    "commit": commit,
    "commit_short_parent": commit_short_parent,
    "commit_stale": commit_stale,
    "commit_nothing": commit_nothing,
    "commit_delete_missing": commit_delete_missing,
    "open_pull": open_pull,
    "pull_life": pull_life,
    "draft_merge": draft_merge,
    "upload_pull": upload_pull,
    "discussion": discussion,
    "upload_folder": upload_folder,
    "preupload": preupload,
    "model_info": model_info,
    "tree": tree,
    "refs": refs,
    "commits": commits,
    "snapshot": snapshot,
    "ranges": ranges,
    "safetensors": parsed,
    "card": card,
    "card_with_wrong_license": card_with_wrong_license,
    "collection": collection,
    "dataset": dataset,
    "moved": moved,
    "listed": listed,
    "missing_revision": lambda facts: API.model_info(REPO, revision="nothing").sha,
    "missing_file": lambda facts: hf_hub_download(REPO, "nothing.txt"),
    "missing_repo": lambda facts: API.model_info("demo/nothing").sha,
}
