"""Recorded runs in the lock: what is pinned of them, what that does to the key, and what moves."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import EXPERTS, World, family_files, push

from ramekin.client import HubClient
from ramekin.digests import DigestMemory, blob_id_of, sha256_of
from ramekin.environment import Environment
from ramekin.errors import ResourceError, SourceError
from ramekin.hub import Hub, serve
from ramekin.lock.key import data_fits, fits, merge_key, sources_fit
from ramekin.lock.making import make_lock
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.manifest.benchmarks import DataReference
from ramekin.manifest.model import Manifest
from ramekin.progress import Silence
from ramekin.sources import Sources
from ramekin.sources import data as data_sources
from ramekin.store import BlobStore

os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")
RUNS = b'{"id": "a", "messages": []}\n'
HUB_RUNS = "hf://datasets/demo/runs@main/dev/tau.jsonl"
CARD = "---\nlicense: cc-by-4.0\nlanguage: [en]\n---\n# Runs\n"


def manifest(method: str = "arm", *, calibration: str = "./tau.jsonl", **keys: object) -> Manifest:
    benchmark = {"expert": "tool", "role": "tool-call", "calibration": calibration} | keys
    return Manifest.model_validate(
        {
            "version": 1,
            "base": "demo/base",
            "experts": {name: f"demo/{name}" for name in EXPERTS},
            "method": {"name": method},
            "benchmarks": {"tau": benchmark},
            "output": {"repo": "demo/agent"},
        }
    )


def written(method: str = "arm", more: str = f"    dev: {HUB_RUNS}\n") -> str:
    experts = "".join(f"  {name}: demo/{name}\n" for name in EXPERTS)
    return (
        f"version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: {method}\noutput:\n  repo: demo/agent\n"
        f"benchmarks:\n  tau:\n    expert: tool\n    role: tool-call\n    calibration: ./tau.jsonl\n{more}"
    )


def source(name: str, digit: str = "1", **changes: object) -> PinnedSource:
    files = {"model.safetensors": PinnedFile(size=8, sha256=digit * 64)}
    return PinnedSource(source=f"demo/{name}", kind="hub", commit="3" * 40, files=files).model_copy(update=changes)


def runs(digit: str = "7", name: str = "./tau.jsonl", **changes: object) -> PinnedSource:
    files = {Path(name).name: PinnedFile(size=9, sha256=digit * 64)}
    made = PinnedSource(source=name, kind="local", commit=digit * 40, private=True, files=files)
    return made.model_copy(update=changes)


def lock(made: Manifest, **data: PinnedSource) -> Lock:
    base, experts = source("base"), {name: source(name, str(n)) for n, name in enumerate(EXPERTS, 2)}
    pinned = {f"data:tau:{use}": each for use, each in data.items()}
    key = merge_key(made, base, experts, pinned)
    return Lock(key=key, semantics=1, base=base, experts=experts, data=pinned)


# -- the key, and what fits


def test_benchmarks_are_part_of_the_key_where_the_method_looks_at_them() -> None:
    made = lock(manifest(), calibration=runs())
    for changes in ({"role": "webshop"}, {"weight": "task"}, {"scores": {"tool": 1.0}}, {"max_tokens": 100}):
        assert merge_key(manifest(**changes), made.base, made.experts, made.data) != made.key
    assert lock(manifest(), calibration=runs("8")).key != made.key
    assert lock(manifest(), calibration=runs(), dev=runs()).key != made.key


@pytest.mark.parametrize("method", ["ram+", "average", "ties"])
def test_and_no_part_of_it_where_it_does_not(method: str) -> None:
    made = lock(manifest(method), calibration=runs())
    assert lock(manifest(method), calibration=runs("8")).key == made.key
    assert lock(manifest(method, role="webshop", scores={"tool": 1.0}), calibration=runs()).key == made.key
    without = manifest(method).model_copy(update={"benchmarks": {}})
    assert merge_key(without, made.base, made.experts) == made.key
    assert made.key != lock(manifest(), calibration=runs()).key


def test_spelled_out_defaults_of_benchmarks_do_not_count() -> None:
    made = lock(manifest(), calibration=runs())
    spelled = manifest(dev=None, turns="all", demonstrations=0, scores={}, role={"name": "tool-call", "json": None})
    assert merge_key(spelled, made.base, made.experts, made.data) == made.key


def test_the_commit_of_a_dataset_does_not_count() -> None:
    made = lock(manifest(), calibration=runs())
    moved = runs(commit="9" * 40)
    assert lock(manifest(), calibration=moved).key == made.key


def test_a_lock_fits_the_runs_that_the_manifest_names() -> None:
    made = lock(manifest(), calibration=runs())
    assert fits(made, manifest())
    assert not sources_fit(made, manifest(calibration="./other.jsonl"))
    assert not sources_fit(made, manifest(dev="./dev.jsonl"))
    assert not sources_fit(made, manifest().model_copy(update={"benchmarks": {}}))
    assert not fits(made, manifest(role="webshop")), "the same files, and another key"
    assert sources_fit(made, manifest(role="webshop"))


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("hf://datasets/demo/runs/a/x.jsonl", False),
        ("hf://datasets/demo/runs@v1/a/x.jsonl", True),
        ("hf://datasets/demo/runs@v2/a/x.jsonl", False),
        ("hf://datasets/demo/runs@v1/x.jsonl", False),
        ("hf://datasets/demo/other@v1/a/x.jsonl", False),
    ],
)
def test_a_pin_fits_one_file_at_one_revision(text: str, fit: bool) -> None:
    files = {"a/x.jsonl": PinnedFile(size=9, blob="7" * 40)}
    pinned = source("new-name", named="demo/runs", requested="v1", repo_type="dataset", files=files)
    assert data_fits(pinned, DataReference.of(text)) is fit


OLD_LOCK = """\
{
  "schema": 1,
  "key": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
  "semantics": 1,
  "base": {
    "source": "org/base",
    "kind": "hub",
    "commit": "3333333333333333333333333333333333333333",
    "private": false,
    "card": {
      "license": "mit",
      "language": [],
      "datasets": [],
      "parents": {}
    },
    "files": {
      "config.json": {
        "size": 2,
        "blob": "2222222222222222222222222222222222222222"
      }
    }
  },
  "experts": {}
}
"""


def test_a_lock_without_data_is_written_as_ever() -> None:
    assert Lock.model_validate_json(OLD_LOCK).to_json() == OLD_LOCK


def test_a_lock_with_data_comes_back_as_it_was() -> None:
    made = lock(manifest(), calibration=runs(), dev=source("runs", repo_type="dataset", requested="main"))
    text = made.to_json()
    assert Lock.model_validate_json(text) == made
    assert [*Lock.model_validate_json(text).data] == ["data:tau:calibration", "data:tau:dev"]
    assert text.count('"repo_type": "dataset"') == 1


# -- local files


@pytest.fixture
def open_local(tmp_path: Path):
    store = BlobStore(tmp_path / "blobs", DigestMemory(tmp_path / "digests.json"), tmp_path / "cache")

    def connect() -> HubClient:
        raise AssertionError("nothing local asks the Hub")

    sources = Sources(connect, tmp_path, store, Silence())
    return lambda text: sources.open_data(DataReference.of(text)).pin()


@pytest.mark.parametrize("name", ["./tau.jsonl", "tau.jsonl", "./a/../tau.jsonl", "~/tau.jsonl"])
def test_a_local_file_is_pinned_by_its_digest(
    open_local, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tau.jsonl").write_bytes(RUNS)
    pinned = open_local(name)
    digest = sha256_of(tmp_path / "tau.jsonl")
    assert pinned.files == {"tau.jsonl": PinnedFile(size=len(RUNS), sha256=digest)}
    assert (pinned.source, pinned.kind, pinned.repo_type) == (name, "local", None)
    assert (pinned.commit, pinned.requested, pinned.private) == (digest[:40], None, True)
    assert data_fits(pinned, DataReference.of(name))
    (tmp_path / "tau.jsonl").write_bytes(RUNS + RUNS)
    assert open_local(name).commit != pinned.commit


@pytest.mark.parametrize(
    "name", ["./none.jsonl", "./directory", "./tau.jsonl/x", "./\u202e", "./" + "x" * 300, r"./a\b"]
)
def test_a_file_that_is_not_there(open_local, tmp_path: Path, name: str) -> None:
    (tmp_path / "tau.jsonl").write_bytes(RUNS)
    (tmp_path / r"a\b").write_bytes(RUNS)
    (tmp_path / "directory").mkdir()
    with pytest.raises(SourceError) as caught:
        open_local(name)
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 4
    assert problem.hint
    assert problem.what.isprintable()


def test_a_file_that_may_not_be_read(open_local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tau.jsonl").write_bytes(RUNS)

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(DigestMemory, "sha256", refuse)  # whoever runs the tests may be allowed to read anything
    with pytest.raises(SourceError, match="Permission denied"):
        open_local("./tau.jsonl")


def test_a_local_file_that_is_too_large(open_local, tmp_path: Path) -> None:
    with (tmp_path / "tau.jsonl").open("wb") as file:
        file.truncate(data_sources.LARGEST + 1)  # a hole: nothing is written, and nothing must be read
    with pytest.raises(ResourceError, match="2,147,483,649 bytes") as caught:
        open_local("./tau.jsonl")
    assert caught.value.exit_code == 8


# -- datasets on a Hub


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with the family and a dataset, and a directory with a manifest that names runs here and there."""
    with serve(tmp_path / "hub") as hub:
        for name in ("base", *EXPERTS):
            push(hub, name, family_files(name))
        hub.store.create_repo("demo/runs", repo_type="dataset")
        commit(hub, {"dev/tau.jsonl": RUNS, "README.md": CARD.encode(), "other.jsonl": b"{}"})
        work = tmp_path / "work"
        work.mkdir()
        (work / "tau.jsonl").write_bytes(RUNS + RUNS)
        made = World(hub, work)
        made.manifest(written())
        yield made


def commit(hub: Hub, files: dict[str, bytes | None]) -> str:
    return hub.store.commit("demo/runs", files, repo_type="dataset").id


def sources_of(world: World) -> Sources:
    client = HubClient(Environment.read(world.environment))
    digests = DigestMemory(world.directory / "home" / "digests.json")
    store = BlobStore(world.directory / "home" / "blobs", digests, world.directory / "home" / "cache")
    return Sources(lambda: client, world.directory, store, Silence())


def pin(world: World, text: str) -> PinnedSource:
    return sources_of(world).open_data(DataReference.of(text)).pin()


def test_a_file_of_a_dataset_is_pinned_and_no_other(world: World, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(RUNS)
    pinned = pin(world, HUB_RUNS)
    head = world.hub.store.get("demo/runs", "dataset").refs()["refs/heads/main"]
    assert pinned.files == {"dev/tau.jsonl": PinnedFile(size=len(RUNS), blob=blob_id_of(tmp_path / "same"))}
    assert (pinned.source, pinned.kind, pinned.repo_type, pinned.requested) == ("demo/runs", "hub", "dataset", "main")
    assert (pinned.commit, pinned.private, pinned.named) == (head, False, None)
    assert (pinned.card.license, pinned.card.language) == ("cc-by-4.0", ("en",))
    assert data_fits(pinned, DataReference.of(HUB_RUNS))


def test_a_large_file_is_pinned_by_its_sha256(world: World, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(RUNS)
    commit(world.hub, {"tau.parquet": RUNS})
    pinned = pin(world, "hf://datasets/demo/runs/tau.parquet")
    assert pinned.files == {"tau.parquet": PinnedFile(size=len(RUNS), sha256=sha256_of(tmp_path / "same"))}
    assert pinned.requested is None


def test_a_dataset_has_revisions(world: World) -> None:
    old = pin(world, HUB_RUNS)
    new = commit(world.hub, {"dev/tau.jsonl": RUNS + RUNS})
    assert pin(world, HUB_RUNS).commit == new
    again = pin(world, HUB_RUNS.replace("@main", f"@{old.commit}"))
    assert (again.commit, again.files) == (old.commit, old.files)


def test_a_dataset_that_was_renamed_keeps_the_name_in_the_manifest(world: World) -> None:
    world.hub.store.move_repo("demo/runs", "demo/recorded", "dataset")
    pinned = pin(world, HUB_RUNS)
    assert (pinned.source, pinned.named) == ("demo/recorded", "demo/runs")
    assert data_fits(pinned, DataReference.of(HUB_RUNS))


def test_a_private_dataset_is_known_to_be_so(world: World) -> None:
    world.hub.store.create_repo("demo/closed", repo_type="dataset", private=True)
    world.hub.store.commit("demo/closed", {"x.jsonl": RUNS}, repo_type="dataset")
    assert pin(world, "hf://datasets/demo/closed/x.jsonl").private
    world.extra = {"HF_TOKEN": "hf_nobody_has_this_token"}
    with pytest.raises(SourceError) as caught:
        pin(world, "hf://datasets/demo/closed/x.jsonl")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hf://datasets/demo/none/x.jsonl", "there is no such dataset"),
        ("hf://datasets/demo/base/config.json", "there is no such dataset"),
        ("hf://datasets/demo/runs@v9/dev/tau.jsonl", "demo/runs"),
        ("hf://datasets/demo/runs/tau.jsonl", "demo/runs/tau.jsonl: the dataset has no such file"),
        ("hf://datasets/demo/runs/dev", "the dataset has no such file"),
        ("hf://datasets/demo/runs@main/Dev/tau.jsonl", "the dataset has no such file"),
    ],
)
def test_what_a_hub_does_not_have(world: World, text: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        pin(world, text)
    (problem,) = caught.value.problems
    assert words in problem.what
    assert problem.hint
    assert caught.value.exit_code == 4


def test_a_file_of_a_dataset_that_is_too_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_sources, "LARGEST", len(RUNS) - 1)
    with pytest.raises(ResourceError, match=r"tau\.jsonl has 28 bytes"):
        pin(world, HUB_RUNS)


def test_all_that_cannot_be_had_is_told_at_once(world: World) -> None:
    made = manifest(calibration="./none.jsonl", dev="hf://datasets/demo/none/x.jsonl", chat_template="./none.jinja")
    with pytest.raises(SourceError) as caught:
        make_lock(made, sources_of(world))
    assert [problem.what.partition(":")[0] for problem in caught.value.problems] == [
        "./none.jsonl",
        "demo/none",
        "./none.jinja",
    ]


def test_a_dataset_that_moves_keeps_the_key_unless_the_file_changes(world: World) -> None:
    made, sources = manifest(dev=HUB_RUNS), sources_of(world)
    first = make_lock(made, sources)
    assert [*first.data] == ["data:tau:calibration", "data:tau:dev"]
    moved = commit(world.hub, {"README.md": b"# Runs, explained\n", "other.jsonl": None})
    kept, upgraded = make_lock(made, sources, first), make_lock(made, sources)
    assert kept == first
    assert upgraded.data["data:tau:dev"].commit == moved != first.data["data:tau:dev"].commit
    assert upgraded.key == first.key
    commit(world.hub, {"dev/tau.jsonl": RUNS + RUNS})
    assert make_lock(made, sources, first).key == first.key, "pins stay until they are upgraded"
    assert make_lock(made, sources).key != first.key


def test_another_file_is_pinned_anew_and_the_rest_stays(world: World) -> None:
    sources = sources_of(world)
    first = make_lock(manifest(dev=HUB_RUNS), sources)
    commit(world.hub, {"README.md": b"# Runs\n"})
    (world.directory / "new.jsonl").write_bytes(RUNS)
    second = make_lock(manifest(calibration="./new.jsonl", dev=HUB_RUNS), sources, first)
    assert second.data["data:tau:dev"] == first.data["data:tau:dev"]
    assert [*second.data["data:tau:calibration"].files] == ["new.jsonl"]
    assert second.key != first.key


# -- commands


def test_lock_and_check_on_the_command_line(world: World) -> None:
    assert world.ramekin("lock", "merge.yaml", "--check").code == 3
    out = world.ok("lock", "merge.yaml").out
    assert "data:tau:calibration ./tau.jsonl@" in out
    assert "data:tau:dev" in out
    assert "demo/runs@" in out
    lock_file = world.directory / "merge.lock"
    before = lock_file.read_bytes()
    made = Lock.model_validate_json(before)
    assert [*made.data] == ["data:tau:calibration", "data:tau:dev"]
    assert world.ok("lock", "merge.yaml", "--check", "--json").data["key"] == made.key
    assert world.ok("check", "--exit-code").out.startswith("merge.yaml: no drift")

    world.manifest(written().replace("./tau.jsonl", "./other.jsonl"))
    assert world.ramekin("lock", "merge.yaml", "--check").code == 3
    assert world.ramekin("check").code == 3
    failed = world.ramekin("lock", "merge.yaml")
    assert failed.code == 4
    assert failed.error_lines == [
        "error: ./other.jsonl: there is no such file",
        " hint: check the path; it is relative to the manifest",
    ]
    assert lock_file.read_bytes() == before


def test_drift_of_recorded_runs(world: World) -> None:
    world.ok("lock", "merge.yaml")
    commit(world.hub, {"README.md": b"# Runs\n"})
    still = world.ramekin("check", "--exit-code", "--json")
    assert still.code == 0
    (found,) = [each for each in still.data["manifests"][0]["sources"] if each["role"] == "data:tau:dev"]
    assert (found["source"], found["moved"], found["changed"]) == ("demo/runs", True, [])

    (world.directory / "tau.jsonl").write_bytes(RUNS)
    moved = world.ramekin("check", "--exit-code")
    assert moved.code == 1
    assert "changed: tau.jsonl" in moved.out
    assert world.ramekin("lock", "merge.yaml", "--check").code == 0, "the lock is still what the manifest says"

    (world.directory / "tau.jsonl").unlink()
    gone = world.ramekin("check", "--exit-code")
    assert gone.code == 4
    assert gone.error_lines[0] == "error: ./tau.jsonl: there is no such file"


def test_benchmarks_that_the_method_does_not_look_at_are_pinned_and_change_no_key(world: World) -> None:
    world.manifest(written("ram+"))
    with_runs = world.ok("lock", "merge.yaml", "--json").data
    world.manifest(written("ram+").partition("benchmarks:")[0])
    without = world.ok("lock", "merge.yaml", "--json").data
    assert with_runs["key"] == without["key"]
    assert [*with_runs["data"]] == ["data:tau:calibration", "data:tau:dev"]
    assert '"data"' not in (world.directory / "merge.lock").read_text()
