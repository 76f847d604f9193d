"""What the key depends on, and what it does not."""

import pytest

from ramekin.lock.file import lock_path, read_lock, write_lock
from ramekin.lock.key import fits, merge_key, sources_fit
from ramekin.lock.model import CardFacts, Lock, PinnedFile, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.methods import METHODS, Method
from ramekin.methods.base import SEMANTICS


def manifest(**changes: object) -> Manifest:
    data: dict[str, object] = {
        "version": 1,
        "base": "org/base",
        "experts": {"a": "org/a", "b": "org/b@v1"},
        "method": {"name": "ram+"},
        "output": {"repo": "org/out"},
    }
    return Manifest.model_validate(data | changes)


def source(name: str, digit: str = "1", requested: str | None = None, **changes: object) -> PinnedSource:
    files = {
        "model.safetensors": PinnedFile(size=8, sha256=digit * 64),
        "config.json": PinnedFile(size=2, blob="2" * 40),
    }
    pinned = PinnedSource(source=f"org/{name}", kind="hub", requested=requested, commit="3" * 40, files=files)
    return pinned.model_copy(update=changes)


def lock(made: Manifest) -> Lock:
    base, experts = source("base"), {"a": source("a", "4"), "b": source("b", "5", "v1")}
    return Lock(key=merge_key(made, base, experts), semantics=SEMANTICS, base=base, experts=experts)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"name": "ram"}},
        {"method": {"name": "ram+", "r": 0.2}},
        {"method": {"name": "ties"}},
        {"method": {"name": "dare", "seed": 1}},
        {"output": {"repo": "org/elsewhere"}},
        {"output": {"repo": "org/out", "dtype": "float32"}},
        {"output": {"repo": "org/out", "shard_size": "1GB"}},
        {"experts": {"b": "org/b@v1", "a": "org/a"}},
        {"experts": {"c": "org/a", "b": "org/b@v1"}},
    ],
)
def test_what_is_merged_changes_the_key(changes: dict[str, object]) -> None:
    made = lock(manifest())
    other = manifest(**changes)
    experts = {name: made.experts.get(name, made.experts["a"]) for name in other.experts}
    assert merge_key(other, made.base, experts) != made.key


@pytest.mark.parametrize(
    "changes",
    [
        {"card": {"title": "Another title", "license": "mit"}},
        {"method": {"name": "ram+", "alpha": 2.0}},
        {"output": {"repo": "org/out", "collection": "Merged agents", "supersedes": "org/older"}},
    ],
)
def test_card_texts_and_spelled_out_defaults_do_not(changes: dict[str, object]) -> None:
    made = lock(manifest())
    assert merge_key(manifest(**changes), made.base, made.experts) == made.key
    assert fits(made, manifest(**changes))


def test_what_is_measured_and_demanded_is_part_of_the_key_where_it_is_written() -> None:
    made = lock(manifest())
    assert not {"evaluate", "gate"} & manifest().canonical().keys(), "keys of manifests without it stay what they were"
    evaluate = {"tasks": ["gsm8k"]}
    changes = [
        {},
        {"evaluate": evaluate},
        {"evaluate": {"tasks": ["mmlu"]}},
        {"evaluate": evaluate | {"seed": 1}},
        {"evaluate": {"command": ["sh"]}},
        {"evaluate": evaluate, "gate": {"of_base": 1}},
        {"evaluate": evaluate, "gate": {"of_base": 0.9}},
    ]
    keys = [merge_key(manifest(**change), made.base, made.experts) for change in changes]
    assert keys[0] == made.key
    assert len({*keys}) == len(changes)
    patient = manifest(evaluate=evaluate | {"timeout": 5, "batch_size": 8})
    assert merge_key(patient, made.base, made.experts) == keys[1], "how long one waits is none, nor a default"
    listed = manifest(evaluate={"tasks": [{"name": "gsm8k", "results": {"dataset": "org/maths", "task": "easy"}}]})
    assert merge_key(listed, made.base, made.experts) == keys[1], "nor is a leaderboard"


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_part_of_the_key(method: type[Method]) -> None:
    written = {"name": method.title()} | ({"expert": "a"} if "expert" in method.fields() else {})
    made, experts = manifest(method=written), lock(manifest()).experts
    key = merge_key(made, lock(manifest()).base, experts)
    others = {"expert": "b", "filter_wise": True, "seed": 3, "weight": {"a": 0.25, "b": 0.5}, "pool": ["ram", "ties"]}
    others |= {"select": "scores", "repair": "all", "protect": False, "collisions": "skip", "trace_dtype": "float32"}
    others |= {"budget": 3, "saliency": "contrast", "shift": -1}
    for name in method.fields():
        other = manifest(method=written | {name: others.get(name, 0.125)})
        assert merge_key(other, lock(manifest()).base, experts) != key, name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ram", "d5e091a1858fe9b1ac36375f478cbff090709a5c2d8b6389461109d1effeb97e"),
        ("ram+", "1eb6ff0f9eb810a0cde2e27112a2e8c9285f7a38406d7176692c23c0fd652205"),
        ("ram+s", "18140c92ca182dfe1d6518110b762535764f1b109d7f36f43a4f86c4d3c3c876"),
        ("arm", "1d0c02f25ccf3f6e054c6c66bc7ca1176d62c51895e9d99d4c355749febe6f5e"),
        ("best-of", "52cd2e19a158d597c99d6e8adb868c4e224fca645cbf3d1ce66915a252ee744d"),
        ("tuned", "9f4032ad9fee4d5a3a9f773731dec86f4e62f9e330aeea17f608dc97509ae1ff"),
    ],
)
def test_keys_stay_what_they_were_for_the_same_arithmetic(name: str, key: str) -> None:
    made = lock(manifest())
    assert SEMANTICS == 1, "the keys below are of version 1; take the new ones"
    assert merge_key(manifest(method={"name": name}), made.base, made.experts) == f"sha256:{key}"


@pytest.mark.parametrize("name", ["arm", "best-of"])
def test_neurons_that_are_watched_as_in_the_paper_are_no_part_of_the_key(name: str) -> None:
    made, plain = lock(manifest()), manifest(method={"name": name})
    written = manifest(method={"name": name, "saliency": "abs", "shift": 0})
    assert written.canonical() == plain.canonical()
    assert not {"saliency", "shift"} & {*plain.method.model_dump(), *plain.method.parameters()}
    assert merge_key(written, made.base, made.experts) == merge_key(plain, made.base, made.experts)
    other = manifest(method={"name": name, "saliency": "abs_wout", "shift": -1})
    assert other.method.model_dump().items() >= {"saliency": "abs_wout", "shift": -1}.items()


def test_weights_count_and_commits_do_not() -> None:
    made = lock(manifest())
    moved = {"a": source("a", "4", commit="9" * 40, card=CardFacts(license="mit")), "b": made.experts["b"]}
    assert merge_key(manifest(), made.base, moved) == made.key
    trained = {"a": source("a", "6"), "b": made.experts["b"]}
    assert merge_key(manifest(), made.base, trained) != made.key


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_counts_with_its_config_and_its_weights(file: str) -> None:
    made = lock(manifest())
    files = {"adapter_config.json": PinnedFile(size=2, blob="6" * 40)}
    files["adapter_model.safetensors"] = PinnedFile(size=9, sha256="7" * 64)
    adapter = source("a").model_copy(update={"files": files})
    key = merge_key(manifest(), made.base, made.experts | {"a": adapter})
    other = PinnedFile(size=9, sha256="8" * 64)
    changed = adapter.model_copy(update={"files": files | {file: other}})
    assert key != made.key
    assert merge_key(manifest(), made.base, made.experts | {"a": changed}) != key


def test_a_lock_for_other_sources_or_revisions_does_not_fit() -> None:
    made = lock(manifest())
    assert fits(made, manifest())
    assert not sources_fit(made, manifest(experts={"a": "org/a", "b": "org/b@v2"}))
    assert not sources_fit(made, manifest(base="org/other"))
    # Other parameters fit the sources, but the key is another.
    assert sources_fit(made, manifest(method={"name": "ram"}))
    assert not fits(made, manifest(method={"name": "ram"}))


def test_a_renamed_repository_is_known_by_the_name_in_the_manifest() -> None:
    renamed = lock(manifest()).model_copy(update={"base": source("new-name", named="org/base")})
    assert sources_fit(renamed, manifest())


def test_a_lock_comes_back_as_it_was_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = lock(manifest())
    path = lock_path(tmp_path / "merge.yaml")
    assert read_lock(path) is None
    write_lock(path, made)
    assert read_lock(path) == made
    assert path.name == "merge.lock"
    assert list(read_lock(path).experts) == ["a", "b"]  # type: ignore[union-attr]
