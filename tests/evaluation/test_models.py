"""Which files a model is run from, and what it is known by."""

from pathlib import Path

import pytest

from ramekin.assembling import assembled
from ramekin.checkpoint.selection import files_to_borrow
from ramekin.evaluation.models import backbone_model, laid_out, merged_model, source_model
from ramekin.lock.model import Lock, PinnedFile, PinnedSource
from ramekin.methods import Average, TaskArithmetic
from ramekin.plan.layout import Layout
from ramekin.records import FileRecord

BASE = (
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "chat_template.jinja",
)  # fmt: skip
WEIGHTS = ("model-1.safetensors", "model.safetensors.index.json")
LAYOUT = Layout((), ("coder", "tool"))


@pytest.mark.parametrize(
    ("own", "borrowed"),
    [
        # Nothing but weights: all that the base has beside its own.
        ((), ("chat_template.jinja", "generation_config.json", "special_tokens_map.json", "tokenizer.json",
              "tokenizer_config.json")),
        # A tokenizer of its own, whole: a template of the base's would come before the one that it has within.
        (("tokenizer.json", "tokenizer_config.json"), ("generation_config.json",)),
        (("vocab.json", "merges.txt", "tokenizer_config.json"), ("generation_config.json",)),
        (("spiece.model", "tokenizer_config.json"), ("generation_config.json",)),
        # A vocabulary without settings, and settings without a vocabulary.
        (("tokenizer.json",), ("chat_template.jinja", "generation_config.json", "special_tokens_map.json",
                               "tokenizer_config.json")),
        (("chat_template.jinja",), ("generation_config.json", "tokenizer.json")),
    ],
)  # fmt: skip
def test_what_an_expert_borrows(own: tuple[str, ...], borrowed: tuple[str, ...]) -> None:
    assert files_to_borrow(("config.json", *WEIGHTS, *own), BASE) == borrowed


def pinned(names: tuple[str, ...], digit: str) -> PinnedSource:
    files = {name: PinnedFile(size=1, sha256=digit * 64) for name in names}
    return PinnedSource(source="org/x", kind="hub", commit="0" * 40, files=files)


def lock(**experts: PinnedSource) -> Lock:
    given = {"coder": pinned(("config.json", "model.safetensors"), "2")} | experts
    return Lock(schema_version=1, key="sha256:" + "0" * 64, semantics=1, base=pinned(BASE, "1"), experts=given)


def files(made: Lock) -> dict[str, dict[str, Path]]:
    return {role: {name: Path(role) / name for name in source.files} for role, source in made.sources.items()}


def test_an_expert_is_known_by_all_files_that_it_is_run_from() -> None:
    made = lock()
    model = source_model("expert:coder", files(made), made, LAYOUT)
    assert (model.name, model.method) == ("expert:coder", None)
    assert model.files["model.safetensors"] == Path("expert:coder/model.safetensors")
    assert model.files["tokenizer.json"] == Path("base/tokenizer.json")

    changed = made.model_copy(update={"base": pinned(BASE, "3")})
    assert source_model("expert:coder", files(changed), changed, LAYOUT).digest != model.digest, "its tokenizer moved"
    other = lock(coder=pinned(("config.json", "model.safetensors"), "4"))
    assert source_model("expert:coder", files(other), other, LAYOUT).digest != model.digest
    moved = lock().model_copy(update={"key": "sha256:" + "9" * 64})
    assert source_model("expert:coder", files(moved), moved, LAYOUT).digest == model.digest


def test_the_base_is_what_it_is() -> None:
    made = lock()
    model = source_model("base", files(made), made, LAYOUT)
    assert {*model.files} == {*BASE}
    assert model.digest == source_model("base", files(lock(tool=pinned(BASE, "7"))), lock(), LAYOUT).digest


def test_an_adapter_is_made_of_the_base_and_itself_alone() -> None:
    made = lock(tool=pinned(("adapter_config.json", "adapter_model.safetensors"), "5"))
    model = source_model("expert:tool", files(made), made, LAYOUT)
    assert model.method == TaskArithmetic(weight={"coder": 0.0, "tool": 1.0})
    assert {*model.files} == {*BASE} - {"model.safetensors"}
    other = lock(tool=made.experts["tool"], coder=pinned(("config.json", "model.safetensors"), "8"))
    assert source_model("expert:tool", files(other), other, LAYOUT).digest == model.digest
    retrained = lock(tool=pinned(("adapter_config.json", "adapter_model.safetensors"), "6"))
    assert source_model("expert:tool", files(retrained), retrained, LAYOUT).digest != model.digest


def test_a_backbone_is_known_by_what_makes_it() -> None:
    made = lock()
    digests = {
        backbone_model(Average(), files(made), made, LAYOUT).digest,
        backbone_model(TaskArithmetic(), files(made), made, LAYOUT).digest,
        backbone_model(Average(), files(made), lock(coder=pinned(("model.safetensors",), "8")), LAYOUT).digest,
    }
    assert len(digests) == 3


def test_the_merge_is_known_by_its_files_and_not_by_what_is_written_about_them(tmp_path: Path) -> None:
    records = {
        "model.safetensors": FileRecord(size=1, sha256="1" * 64),
        "ramekin/merge.yaml": FileRecord(size=1, sha256="2" * 64),
    }
    model = merged_model(tmp_path, records)
    assert [*model.files] == ["model.safetensors"]
    noted = records | {"ramekin/merge.yaml": FileRecord(size=2, sha256="3" * 64)}
    assert merged_model(tmp_path / "elsewhere", noted).digest == model.digest
    other = records | {"model.safetensors": FileRecord(size=1, sha256="4" * 64)}
    assert merged_model(tmp_path, other).digest != model.digest


def test_files_have_the_names_that_libraries_look_for(tmp_path: Path) -> None:
    (tmp_path / "sha256-1").write_text("weights")
    given = {"model.safetensors": tmp_path / "sha256-1", "additional_chat_templates/x.jinja": tmp_path / "sha256-1"}
    with assembled(given, "base") as directory:
        assert directory.name == "base"
        assert {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} == {*given}
        assert (directory / "model.safetensors").read_text() == "weights"
    assert not directory.exists()
    assert (tmp_path / "sha256-1").exists()


def test_the_name_of_an_expert_is_one_of_a_directory(tmp_path: Path) -> None:
    made = lock()
    model = source_model("expert:coder", files(made), made, LAYOUT)
    with laid_out(model, files(made), LAYOUT, None, None) as directory:
        assert directory.name == "expert-coder"
