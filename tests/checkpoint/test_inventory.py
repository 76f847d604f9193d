"""Which files hold weights, what an index may say, and which files of a source are read at all."""

import pytest
from memory_source import MemorySource, index, weights

from ramekin.checkpoint.inventory import read_inventory, weight_files
from ramekin.checkpoint.selection import files_to_copy, files_to_read
from ramekin.checkpoint.tensors import Inventory
from ramekin.errors import DamagedError, IncompatibleError

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def inventory(source: MemorySource) -> Inventory:
    return read_inventory(source.read, source.sizes, source="org/name")


def sharded(**changes: object) -> MemorySource:
    contents = {
        ONE: weights(b=(2,), a=(3, 1)),
        TWO: weights(c=(4,)),
        INDEX: index(a=ONE, b=ONE, c=TWO),
        "README.md": "# hello",
    } | changes
    return MemorySource({name: value for name, value in contents.items() if value is not None})


def test_one_file() -> None:
    found = inventory(MemorySource({"model.safetensors": weights(b=(2,), a=(3, 1))}))
    assert set(found.tensors) == {"a", "b"}
    assert found.tensors["a"].shape == (3, 1)
    assert list(found.files) == ["model.safetensors"]


def test_shards_are_read_in_order_and_once_each() -> None:
    source = sharded()
    found = inventory(source)
    assert [t.file for t in found.tensors.values()] == [ONE, ONE, TWO]
    starts = [t.start for t in found.tensors.values() if t.file == ONE]
    assert starts == sorted(starts)
    assert found.files == {ONE: source.sizes[ONE], TWO: source.sizes[TWO]}
    assert sorted(source.asked) == sorted([INDEX, ONE, TWO])


def test_one_file_goes_before_an_index_as_in_transformers() -> None:
    found = inventory(sharded(**{"model.safetensors": weights(x=(1,))}))
    assert list(found.tensors) == ["x"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({TWO: None}, f"names `{TWO}`, which the source does not have"),
        ({INDEX: index(a=ONE, b=ONE, c="../other/model.safetensors")}, "is not a safetensors file beside it"),
        ({INDEX: index(a=ONE, b=ONE, c="/etc/passwd")}, "is not a safetensors file beside it"),
        ({INDEX: index(a=ONE, b=ONE, c="sub/x.safetensors")}, "is not a safetensors file beside it"),
        ({INDEX: index(a=ONE, b=ONE, c="pytorch_model.bin")}, "is not a safetensors file beside it"),
        ({INDEX: index(a=ONE, b=ONE, c="a\n.safetensors")}, r"names `a\\n\.safetensors`"),
        ({INDEX: index(a=ONE, b=ONE)}, f"names `{TWO}`|does not name"),
        ({INDEX: index(a=ONE, b=TWO, c=TWO)}, f"places tensor `b` in `{TWO}`, but it lies in `{ONE}`"),
        ({INDEX: index(a=ONE, b=ONE, c=TWO, d=TWO)}, f"places tensor `d` in `{TWO}`, which does not hold it"),
        ({TWO: weights(c=(4,), d=(1,))}, "does not name tensor `d`"),
        ({TWO: weights(c=(4,), a=(3, 1))}, f"holds tensor `a`, which `{ONE}` holds already"),
        ({INDEX: {"weight_map": {}}}, "no `weight_map`"),
        ({INDEX: {"weight_map": {"a": 1}}}, "no `weight_map`"),
        ({INDEX: {"weight_map": [ONE]}}, "no `weight_map`"),
        ({INDEX: {}}, "no `weight_map`"),
        ({INDEX: "[]"}, "not a JSON object"),
        ({INDEX: "{"}, "not valid JSON"),
        ({INDEX: b"\xff\xfe"}, "not UTF-8"),
        ({TWO: b"garbage"}, "too few"),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_damaged(changes: dict[str, object], words: str) -> None:
    source = sharded(**changes)
    if changes == {INDEX: index(a=ONE, b=ONE)}:
        # A file that the index does not name is not part of the checkpoint.
        assert set(inventory(source).tensors) == {"a", "b"}
        return
    with pytest.raises(DamagedError, match=words) as caught:
        inventory(source)
    assert all("org/name" in problem.what for problem in caught.value.problems)


def test_a_file_without_tensors_is_damaged() -> None:
    with pytest.raises(DamagedError, match="holds no tensors"):
        inventory(MemorySource({"model.safetensors": b"\x02" + bytes(7) + b"{}"}))


def test_an_index_that_ends_early_is_damaged() -> None:
    source = sharded()
    sizes = source.sizes | {INDEX: source.sizes[INDEX] + 1}
    with pytest.raises(DamagedError, match="ends after"):
        read_inventory(source.read, sizes)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["pytorch_model.bin", "config.json"], "pickles"),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "pickles"),
        (["consolidated.00.pth"], "pickles"),
        (["model.pt"], "pickles"),
        (["model-q4_k_m.gguf", "README.md"], "GGUF"),
        (["adapter_model.safetensors", "adapter_config.json"], "adapter"),
        (["adapter_model.bin", "adapter_config.json"], "adapter"),
        ([ONE, TWO], "no `model.safetensors.index.json`"),
        (["README.md", "config.json"], "neither"),
        (["sub/model.safetensors"], "neither"),
        (["training_args.bin"], "neither"),
        ([], "neither"),
    ],
)
def test_a_source_without_weights_says_what_it_has_instead(files: list[str], words: str) -> None:
    with pytest.raises(IncompatibleError, match=words) as caught:
        weight_files(files, source="org/name")
    assert caught.value.exit_code == 5
    (problem,) = caught.value.problems
    assert "org/name" in problem.what
    assert problem.hint


def test_shards_of_another_upload_are_not_meant() -> None:
    stale = [f"model-0000{n}-of-00004.safetensors" for n in (1, 3)]
    assert weight_files([*stale, TWO, ONE, INDEX]) == (ONE, TWO, INDEX)


def test_an_index_may_name_its_shards_in_another_way() -> None:
    assert weight_files(["part_a.safetensors", "adapter_model.safetensors", INDEX]) == ("part_a.safetensors", INDEX)


EVERYTHING = [
    ".gitattributes", "README.md", "LICENSE", "config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
    "tokenizer.model", "chat_template.jinja", "chat_template.json", "additional_chat_templates/tools.jinja",
    "additional_chat_templates/../x.jinja", "additional_chat_templates/sub/x.jinja", "preprocessor_config.json",
    "processor_config.json", "model.safetensors", "adapter_config.json", "adapter_model.safetensors",
    "pytorch_model.bin", "model-q4.gguf", "modeling_x.py", "trainer_state.json", "training_args.bin",
    "optimizer.pt", "scheduler.pt", "rng_state.pth", "all_results.json", "train_results.json", "global_step1/x.json",
    "original/consolidated.00.pth", "original/tokenizer.model", "original/params.json", "onnx/model.onnx",
    "1_Pooling/config.json", "-rf.model", "..model", "a b.model", "x/tokenizer.model", "evil\n.model",
    "requirements.txt",
]  # fmt: skip


def test_files_of_the_base() -> None:
    assert set(files_to_read(EVERYTHING, "base")) == {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja",
        "chat_template.json", "additional_chat_templates/tools.jinja", "preprocessor_config.json",
        "processor_config.json", "model.safetensors",
    }  # fmt: skip
    assert "model.safetensors" not in files_to_copy(EVERYTHING)
    assert len(files_to_copy(EVERYTHING)) == 15


def test_files_of_an_expert_are_those_to_compare() -> None:
    assert set(files_to_read(EVERYTHING, "expert")) == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "chat_template.json", "model.safetensors", "adapter_config.json",
    }  # fmt: skip


def test_an_expert_without_tokenizer_json_is_compared_by_its_other_files() -> None:
    names = [name for name in EVERYTHING if name != "tokenizer.json"]
    assert {"vocab.json", "merges.txt", "vocab.txt", "tokenizer.model"} <= set(files_to_read(names, "expert"))


def test_of_shards_the_index_is_read_too() -> None:
    assert files_to_read([ONE, TWO, INDEX, "x.bin"], "expert") == (ONE, TWO, INDEX)
