"""The store: content-addressed, one winner per race, and all there after a restart."""

import hashlib
import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ramekin.hub import Sparse, Store, open_store, serve
from ramekin.hub.attributes import INITIAL_ATTRIBUTES, tracked_by_lfs
from ramekin.hub.records import Tree, git_blob_id
from ramekin.hub.refusal import Moved, Refusal
from ramekin.hub.repository import Note


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store(tmp_path / "store") as opened:
        yield opened


def test_a_new_repository_has_a_first_commit(store: Store) -> None:
    repository = store.create_repo("org/model")
    first = repository.resolve("main")
    assert (first.author, first.title, first.parents) == ("system", "initial commit", ())
    assert list(repository.tree(first)) == [".gitattributes"]


def test_files_are_named_as_git_names_them(store: Store, tmp_path: Path) -> None:
    store.create_repo("org/model")
    big = tmp_path / "big.bin"
    big.write_bytes(b"b" * 1000)
    commit = store.commit("org/model", {"a.txt": "hello", "b.bin": big, "d/c.safetensors": b"c"})
    tree = store.get("org/model").tree(commit)
    plain, large = tree["a.txt"], tree["b.bin"]
    git = ["git", "hash-object", "--stdin"]
    assert (plain.lfs, plain.oid, plain.etag) == (False, git_blob_id(b"hello"), plain.oid)
    assert plain.oid == subprocess.run(git, input=b"hello", capture_output=True, check=True).stdout.decode().strip()
    assert (large.lfs, large.sha256, large.etag) == (True, hashlib.sha256(b"b" * 1000).hexdigest(), large.sha256)
    assert large.oid == git_blob_id(large.pointer)
    assert tree["d/c.safetensors"].lfs


def test_a_commit_that_changes_nothing_is_none(store: Store) -> None:
    store.create_repo("org/model")
    commit = store.commit("org/model", {"a.txt": "a"})
    assert store.commit("org/model", {"a.txt": "a"}) == commit
    assert store.commit("org/model", {"a.txt": None}).id != commit.id


def test_commit_ids_are_never_used_twice(store: Store) -> None:
    ids = set()
    for name in ("org/a", "org/b"):
        store.create_repo(name)
        ids |= {store.commit(name, {"a.txt": "same"}).id, store.get(name).resolve("main").parents[0]}
    store.delete_repo("org/a")
    store.create_repo("org/a")
    ids.add(store.commit("org/a", {"a.txt": "same"}).id)
    assert len(ids) == 5
    assert all(len(one) == 40 for one in ids)


def test_one_of_many_commits_on_the_same_parent_wins(store: Store) -> None:
    repository = store.create_repo("org/model")
    parent = repository.resolve("main").id
    entry = store.entry("x.txt", "x", {})

    def attempt(number: int) -> str:
        def edit(tree: Tree) -> Tree:
            return {**tree, f"{number}.txt": entry}

        try:
            return repository.commit("refs/heads/main", edit, Note(f"{number}"), parent=parent).id
        except Refusal as error:
            return str(error.status)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(16)))
    assert results.count("412") == 15
    assert repository.resolve("main").id in results


def test_revisions(store: Store) -> None:
    repository = store.create_repo("org/model")
    commit = store.commit("org/model", {"a.txt": "a"})
    repository.set_ref("refs/tags/v1", commit.id)
    repository.set_ref("refs/pr/1", commit.id)
    for revision in ("main", "v1", "refs/pr/1", "pr/1", "refs/heads/main", commit.id, commit.id[:7]):
        assert repository.resolve(revision) == commit
    for revision in ("v2", commit.id[:6], "0" * 40, "../../x", ""):
        with pytest.raises(Refusal, match="Invalid rev id"):
            repository.resolve(revision)
    other = store.create_repo("org/other")
    with pytest.raises(Refusal, match="Invalid rev id"):
        other.resolve(commit.id)


def test_a_huge_file_costs_nothing(store: Store) -> None:
    store.create_repo("org/huge")
    declared = "ab" * 32
    commit = store.commit("org/huge", {"a.safetensors": Sparse(b"head", 15 * 10**9, declared), "b.bin": Sparse(b"", 9)})
    tree = store.get("org/huge").tree(commit)
    path = store.blobs.path(declared)
    assert (tree["a.safetensors"].size, tree["a.safetensors"].sha256) == (15 * 10**9 + 4, declared)
    assert path.stat().st_size == 15 * 10**9 + 4
    assert path.stat().st_blocks * 512 < 100_000
    assert tree["b.bin"].sha256 == Sparse(b"", 9).declared


def test_names_that_the_hub_refuses(store: Store) -> None:
    for name in (
        "model",
        "org/a/b",
        "org/..",
        "../x",
        "org/a--b",
        "org/a.git",
        "org/ü",
        "org/",
        "-org/x",
        "org/" + "a" * 97,
    ):
        with pytest.raises(Refusal, match="Invalid repo name"):
            store.create_repo(name)


def test_moving_leads_on(store: Store) -> None:
    store.create_repo("org/a")
    commit = store.commit("org/a", {"a.txt": "a"})
    store.move_repo("org/a", "org/b")
    store.move_repo("org/b", "new/c")
    for old in ("org/a", "org/b"):
        with pytest.raises(Moved) as moved:
            store.find(old)
        assert moved.value.new == "new/c"
    assert store.get("new/c").resolve("main") == commit
    assert store.create_repo("org/a").resolve("main") != commit
    assert store.find("org/a") is not None


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        store.create_repo("org/model", private=True, gated="manual").set_info(granted=("someone",))
        store.create_repo("org/data", repo_type="dataset")
        store.create_repo("org/old")
        store.move_repo("org/old", "org/new")
        commit = store.commit("org/model", {"a.txt": "a"})
    with open_store(tmp_path / "store") as store:
        repository = store.get("org/model")
        assert (repository.info.private, repository.info.gated, repository.info.granted) == (
            True,
            "manual",
            ("someone",),
        )
        assert repository.resolve("main") == commit
        assert store.blobs.read(repository.tree(commit)["a.txt"].sha256) == b"a"
        assert [one.info.id for one in store.repositories()] == ["org/data", "org/model", "org/new"]
        with pytest.raises(Moved):
            store.find("org/old")


def test_only_one_process_has_it_open(store: Store) -> None:
    with pytest.raises(BlockingIOError):
        Store(store.root)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with open_store(root):
        pass
    (root / "blobs" / "incoming" / "half").write_bytes(b"half")
    (root / "repos" / "models" / "org" / "half").mkdir(parents=True)
    with open_store(root) as store:
        assert not (root / "blobs" / "incoming" / "half").exists()
        assert store.find("org/half") is None
        store.create_repo("org/half")


def test_kill_in_the_middle_of_commits(tmp_path: Path) -> None:
    """Every commit that was acknowledged is there, and the one in the making does no harm."""
    script = (
        "import sys; from ramekin.hub import open_store\n"
        f"with open_store({str(tmp_path / 'store')!r}) as store:\n"
        "    store.create_repo('org/model')\n"
        "    for number in range(10_000):\n"
        "        print(store.commit('org/model', {f'{number}.txt': str(number)}).id, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = [process.stdout.readline().strip() for _ in range(12)]
        process.kill()
        told += [line.strip() for line in process.stdout if len(line) == 41]
    with open_store(tmp_path / "store") as store:
        repository = store.get("org/model")
        history = [one.id for one in repository.history(repository.resolve("main"))]
        assert set(told) <= set(history)
        assert len(repository.tree(repository.resolve("main"))) == len(history)
        store.commit("org/model", {"after.txt": "after"})


@pytest.mark.parametrize(
    ("path", "rules", "verdict"),
    [
        ("a/b.safetensors", INITIAL_ATTRIBUTES, True),
        ("model.gguf", INITIAL_ATTRIBUTES, True),
        ("events.out.tfevents.1", INITIAL_ATTRIBUTES, True),
        ("saved_model/x.pb", INITIAL_ATTRIBUTES, True),
        ("README.md", INITIAL_ATTRIBUTES, False),
        ("tokenizer.json", INITIAL_ATTRIBUTES + "tokenizer.json filter=lfs -text\n", True),
        ("small.bin", INITIAL_ATTRIBUTES + "small.bin !filter\n", False),
        ("x.bin", "# *.bin filter=lfs\n\n", False),
    ],
)
def test_which_files_are_large(path: str, rules: str, verdict: bool) -> None:
    assert tracked_by_lfs(path, rules) is verdict


def test_files_that_lie_do_not_keep_a_repository_from_being_shown(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    endless = b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}'
    header = len(endless).to_bytes(8, "little") + endless
    nested = len(deep).to_bytes(8, "little") + deep
    with serve(tmp_path) as hub:
        hub.store.create_repo("o/m")
        for weights in (header, nested):
            hub.store.commit("o/m", {"config.json": b'{"a":' + deep, "model.safetensors": weights}, message="lies")
            request = urllib.request.Request(
                f"{hub.url}/api/models/o/m", headers={"Authorization": f"Bearer {hub.token}"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            assert json.loads(opener.open(request, timeout=20).read())["id"] == "o/m"
