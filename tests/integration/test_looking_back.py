"""What becomes of a merge once it was made: it is signed, verified, loaded and compared, by the real command line."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import family_files, push
from tests.integration.scenes import Scene, Stage, Weights, stage

# All of them, or those that take long would be run first, and the others' stage be set up a second time.
pytestmark = pytest.mark.slow

ATTESTATION = "ramekin/attestation.json"
PASSPHRASE = "a passphrase of the tests"
KEY = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
PUBLIC = ("openssl", "ec", "-in", "key.pem", "-pubout", "-out", "key.pub")
LOCKED = ("openssl", "ec", "-in", "key.pem", "-aes256", "-passout", f"pass:{PASSPHRASE}", "-out", "locked.pem")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("looking"), "--signing") as made:
        yield made


@pytest.fixture
def scene(shared: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    """A working directory with a manifest, a copy of what it merges to, and a pair of keys as the docs make them."""
    work = tmp_path / "work"
    work.mkdir()
    made = Scene(shared, work, request.node.name.removeprefix("test_").replace("_", "-")[:40])
    made.manifest()
    for command in (KEY, PUBLIC, LOCKED):
        subprocess.run(command, cwd=work, check=True, capture_output=True)
    return made


def target(scene: Scene) -> str:
    return f"demo/{scene.name}-merged"


def ok(scene: Scene, *arguments: str) -> Any:
    """Run a command that has to succeed; what it prints for `--json`."""
    done = scene.ramekin(*arguments, "--json")
    assert done.code == 0, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
    return done.data


def titles(scene: Scene) -> list[str]:
    """Titles of the target's commits, newest first, without keys."""
    found = scene.hub.store.get(target(scene))
    head = found.read_commit(found.refs()["refs/heads/main"])
    return [commit.title.partition(" sha256:")[0] for commit in found.history(head) if commit.title != "initial commit"]


def test_a_signature_lives_as_long_as_what_it_covers(scene: Scene) -> None:
    repo = target(scene)
    check = ("verify", repo, "--attestation", "--public-key", "key.pub")
    ok(scene, "run", "--sign-with", "key.pem")
    found = ok(scene, *check)["attestation"]
    assert (found["checked"], found["files"], found["wrong"]) == (True, 7, {})

    untold = scene.ramekin("verify", repo)
    assert "not checked: give --public-key" in untold.out
    assert ok(scene, "verify", repo)["attestation"]["checked"] is False

    scene.manifest("card:\n  title: Better\n")
    ok(scene, "run")
    assert ok(scene, *check)["attestation"]["wrong"] == {}

    scene.manifest(method="ram")
    ok(scene, "run", "--out", "again")
    assert ok(scene, "verify", repo)["attestation"] is None
    gone = scene.ramekin(*check)
    assert gone.code == 6
    assert f"{ATTESTATION}: is missing" in gone.err

    scene.env["RAMEKIN_KEY_PASSPHRASE"] = PASSPHRASE
    ok(scene, "sign", "again", "--key", "locked.pem")
    assert ok(scene, "publish", "again")["changed"] is True
    assert ok(scene, "publish", "again")["changed"] is False
    assert ok(scene, *check)["attestation"]["wrong"] == {}
    assert [title.split(" ")[1] for title in titles(scene)] == ["attestation", "merge", "card", "merge"]

    push(scene.hub, repo, {"pytorch_model.bin": b"a pickle"})
    planted = scene.ramekin(*check)
    assert planted.code == 6
    assert "pytorch_model.bin: is not signed" in planted.err


def test_nobody_is_asked_before_the_key_is_known(scene: Scene) -> None:
    scene.hub.log.clear()
    refused = scene.ramekin("run", "--sign-with", "absent.pem")
    assert refused.code == 2
    assert "absent.pem: No such file" in refused.err
    assert not scene.hub.log.requests("GET", ".*")
    assert scene.ramekin("verify", "demo/base", "--attestation").code == 2
    assert scene.ramekin("verify", "demo/base", "--identity", "x").code == 2
    assert scene.ramekin("sign", ".").code == 2
    assert scene.ramekin("sign", ".", "--key", "key.pem", "--keyless").code == 2


def test_a_published_commit_is_loaded_whatever_the_branch_is_now(scene: Scene) -> None:
    repo = target(scene)
    commit = ok(scene, "run")["commit"]
    push(scene.hub, repo, {"config.json": b"{}"})
    scene.env |= {"GITHUB_TOKEN": "gho_token_of_the_tests", "HF_TOKEN": scene.hub.token}
    found = ok(scene, "verify", f"{repo}@{commit}", "--load")
    assert found["ok"] is True
    assert found["load"]["architecture"] == "LlamaForCausalLM"
    assert found["load"]["logits"] == [found["load"]["tokens"], 272]
    scene.hub.log.clear()
    damaged = scene.ramekin("verify", repo, "--load")
    assert damaged.code == 6
    assert "config.json: differs from the report" in damaged.err
    assert "load" not in scene.ramekin("verify", repo, "--load", "--json").data
    assert not scene.hub.log.requests("GET", "resolve/.*/model.safetensors"), "damaged, and fetched all the same"


def elements(directory: Path) -> dict[str, np.ndarray]:
    """The bits of every tensor of a merged directory."""
    content = (directory / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    weights = Weights(json.loads(content[8:end]), content[end:])
    return {name: np.frombuffer(data, "<u2") for name, (_, _, data) in weights.tensors.items()}


def test_two_merges_side_by_side(scene: Scene) -> None:
    one = ok(scene, "run", "--out", "one")
    same = ok(scene, "diff", "one", target(scene), "--exit-code")
    assert (same["differs"], same["same_key"], same["b"]["name"]) == (False, True, f"{target(scene)}@{one['commit']}")
    assert ok(scene, "diff", "one/ramekin/report.json", "merge.lock", "--exit-code")["differs"] is False

    coder = scene.variant(family_files("coder", seed=5))
    scene.manifest("  tag: second\n", method="ram", repo=f"{target(scene)}-2", coder=coder)
    ok(scene, "run", "--out", "two")
    assert ok(scene, "diff", "one", "two")["differs"] is True
    done = scene.ramekin("diff", "one", "two", "--exit-code", "--json")
    assert done.code == 1
    a, b = elements(scene.directory / "one"), elements(scene.directory / "two")
    moved = {name: int((a[name] != b[name]).sum()) for name in a}
    found = done.data["weights"]
    assert found["differing"] == sum(moved.values()) > 0
    assert found["elements"] == sum(each.size for each in a.values())
    by_layer: dict[Any, int] = {}
    for part in found["parts"]:
        by_layer[part["layer"]] = by_layer.get(part["layer"], 0) + part["differing"]
    for layer in (0, 1):
        assert by_layer[layer] == sum(count for name, count in moved.items() if f".layers.{layer}." in name)
    assert [row["subject"] for row in done.data["method"] if row["differs"]] == ["name", "r", "alpha"]
    assert {row["subject"] for row in done.data["output"] if row["differs"]} == {"repo", "tag"}
    assert [row["role"] for row in done.data["sources"] if row["differs"]] == ["coder"]

    published = scene.ramekin("diff", target(scene), f"{target(scene)}-2")
    assert "Weights: not compared; --weights downloads them and compares" in published.out
    downloaded = ok(scene, "diff", target(scene), f"{target(scene)}-2", "--weights")["weights"]
    assert downloaded == found
    text = scene.ramekin("diff", "one", "two").out
    assert f"Weights: {found['differing']:,} of {found['elements']:,} elements differ" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_cannot_be_compared(scene: Scene) -> None:
    for name, code in (("absent/repo", 4), ("merge.yaml", 6), (".", 6), ("demo/base", 6)):
        done = scene.ramekin("diff", name, name)
        assert done.code == code, name
        assert len(done.err.splitlines()) == 2, done.err
