"""Loading a model: what works, and everything that a digest does not tell."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ramekin.checkpoint.inventory import read_inventory
from ramekin.demo.family import Bits, Size, base_weights, checkpoint_files
from ramekin.environment import Environment, bare_environment
from ramekin.errors import ResourceError, UsageError
from ramekin.lock.making import make_lock
from ramekin.manifest.reading import read_manifest
from ramekin.records import FileRecord
from ramekin.report import LOCK_COPY, MANIFEST_COPY
from ramekin.terminal import Terminal
from ramekin.verify import loading
from ramekin.verify.loading import try_out
from ramekin.verify.trial import try_model
from ramekin.verify.verdict import Trial, Verdict, show_verdict
from ramekin.workbench import Workbench

SIZE = Size(hidden=16, layers=2, heads=2, kv_heads=1, width=24, vocabulary=272)
WEIGHTS = "model.safetensors"
UP = "model.layers.1.mlp.up_proj.weight"


def weights(changes: Mapping[str, Bits | None] | None = None) -> bytes:
    """The file of weights with some tensors replaced, or left out."""
    tensors = dict(base_weights(SIZE, seed=0)) | dict(changes or {})
    kept = {name: bits for name, bits in tensors.items() if bits is not None}
    return checkpoint_files(kept, SIZE, "")[WEIGHTS]


def config(**changes: Any) -> bytes:
    return json.dumps(SIZE.config | changes).encode()


def model(directory: Path, changes: Mapping[str, bytes | None] | None = None) -> Path:
    """A model with some files replaced, or left out."""
    directory.mkdir(exist_ok=True)
    files: dict[str, bytes | None] = {**checkpoint_files(base_weights(SIZE, seed=0), SIZE, "# card\n")}
    for name, content in (files | dict(changes or {})).items():
        if content is not None:
            (directory / name).write_bytes(content)
    return directory


def test_a_model_that_works(tmp_path: Path) -> None:
    found = try_model(model(tmp_path))
    prompt = "<|im_start|>user\nHello! What can you do?<|im_end|>\n<|im_start|>assistant\n"
    tokens = len(prompt.encode()) - sum(len(each) - 1 for each in ("<|im_start|>", "<|im_end|>", "<|im_start|>"))
    assert found == {
        "problems": [],
        "missing": [],
        "unexpected": [],
        "architecture": "LlamaForCausalLM",
        "dtype": "bfloat16",
        "parameters": sum(bits.size for bits in base_weights(SIZE, seed=0).values()),
        "tokens": tokens,
        "logits": [tokens, SIZE.vocabulary],
    }


def test_without_a_template_and_without_a_tokenizer(tmp_path: Path) -> None:
    plain = try_model(model(tmp_path / "a", {"chat_template.jinja": None}))
    assert (plain["problems"], plain["tokens"]) == ([], len("Hello! What can you do?"))
    bare = try_model(model(tmp_path / "b", dict.fromkeys(("tokenizer.json", "tokenizer_config.json"))))
    assert (bare["problems"], bare["tokens"]) == ([], 8)


def poisoned(bits: int) -> bytes:
    """One element of one tensor that is no number."""
    tensor = base_weights(SIZE, seed=0)[UP].copy()
    tensor[0, 0] = bits
    return weights({UP: tensor})


BROKEN: dict[str, tuple[dict[str, bytes | None], str]] = {
    "a NaN": ({WEIGHTS: poisoned(0x7FC0)}, "logits are NaN or infinite"),
    "an infinity": ({WEIGHTS: poisoned(0x7F80)}, "logits are NaN or infinite"),
    "a vocabulary that has grown in the config": (
        {"config.json": config(vocab_size=300)},
        "model.embed_tokens.weight is [272, 16], and the config asks for [300, 16]",
    ),
    "another width": ({"config.json": config(intermediate_size=32)}, "mlp.down_proj.weight is [16, 24]"),
    "a config that is none": ({"config.json": b"{"}, "config.json' is not a valid JSON file"),
    "no config": ({"config.json": None}, "transformers cannot load it"),
    "a type that nobody knows": ({"config.json": config(model_type="x")}, "transformers cannot load it"),
    "weights that are none": ({WEIGHTS: b"x" * 100}, "transformers cannot load it"),
    "a pickle instead of weights": ({WEIGHTS: None, "pytorch_model.bin": b"x"}, "transformers cannot load it"),
    "a tokenizer that is none": ({"tokenizer.json": b"{}"}, "its tokenizer cannot be used"),
    "a template that is wrong": ({"chat_template.jinja": b"{% if %}"}, "its tokenizer cannot be used"),
    "a template that refuses": (
        {"chat_template.jinja": b"{{ raise_exception('no') }}"},
        "its tokenizer cannot be used",
    ),
    "a template that says nothing": ({"chat_template.jinja": b" {#- x -#} "}, "makes no tokens"),
    "a tokenizer with more words than the model": (
        {"config.json": config(vocab_size=200), WEIGHTS: weights({"model.embed_tokens.weight": None})},
        "",
    ),
}


@pytest.mark.parametrize(("changes", "says"), BROKEN.values(), ids=BROKEN)
def test_models_that_do_not_work(tmp_path: Path, changes: dict[str, bytes | None], says: str) -> None:
    found = try_model(model(tmp_path, changes))
    told = " ".join([*found["problems"], *found["missing"]])
    assert told
    assert says in told
    assert str(tmp_path) not in told


def test_tensors_that_are_missing_or_too_many_are_told(tmp_path: Path) -> None:
    norm = base_weights(SIZE, seed=0)["model.norm.weight"]
    found = try_model(model(tmp_path, {WEIGHTS: weights({UP: None, "model.layers.7.weight": norm})}))
    assert found["missing"] == [UP]
    assert found["unexpected"] == ["model.layers.7.weight"]


def test_code_that_comes_along_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')\n".encode()
    names = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.EvilModel"}
    found = try_model(
        model(tmp_path / "m", {"config.json": config(model_type="evil", auto_map=names), "evil.py": code})
    )
    assert "custom code" in found["problems"][0]
    assert not trap.exists()


# What happens around that


def bench(tmp_path: Path) -> Workbench:
    return Workbench(Environment.read({"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}), Terminal())


def subject(directory: Path) -> Any:
    """A merge as far as loading looks at it; its base is not to be had."""
    files = {path.name: FileRecord(size=1, sha256="0" * 64) for path in directory.iterdir()}
    return SimpleNamespace(
        name="here", directory=directory, report=SimpleNamespace(output=SimpleNamespace(files=files)), base=None
    )


def in_this_process(files: Mapping[str, Path]) -> dict[str, Any]:
    (directory,) = {path.parent for path in files.values()}
    return try_model(directory)


@pytest.mark.parametrize("base_has_it_too", [True, False])
def test_what_the_base_lacks_too_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_has_it_too: bool
) -> None:
    norm = base_weights(SIZE, seed=0)["model.norm.weight"]
    directory = model(tmp_path, {WEIGHTS: weights({UP: None, "more.weight": norm}), "README.md": None})
    content = (directory / WEIGHTS).read_bytes()
    own = {*read_inventory(lambda name, start, stop: content[start:stop], {WEIGHTS: len(content)}).tensors}
    monkeypatch.setattr(loading, "_run", in_this_process)
    monkeypatch.setattr(loading, "_base_tensors", lambda bench, subject: own if base_has_it_too else {*SIZE.shapes})
    trial = try_out(bench(tmp_path), subject(directory))
    if base_has_it_too:
        assert trial.problems == ()
    else:
        assert trial.problems == (
            f"the checkpoint lacks {UP}",
            "the checkpoint has what the model does not know: more.weight",
        )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [(WEIGHTS, b"\xff" * 100, "claims a header"), ("pytorch_model.bin", b"x", "only there as pickles")],
)
def test_weights_are_read_within_bounds_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, says: str
) -> None:
    directory = model(tmp_path, {WEIGHTS: None, name: content})
    monkeypatch.setattr(loading, "_run", lambda files: pytest.fail("a library got to read them"))
    assert says in try_out(bench(tmp_path), subject(directory)).problems[0]


def test_a_model_that_does_not_fit_is_not_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = model(tmp_path)
    monkeypatch.setattr("ramekin.room.memory_available", lambda: 1 << 29)
    monkeypatch.setattr(loading, "_run", lambda files: pytest.fail("it was begun with"))
    with pytest.raises(ResourceError, match="1024 MiB of memory are needed, 512 MiB are available"):
        try_out(bench(tmp_path), subject(directory))


@pytest.mark.parametrize(
    ("found", "error"),
    [({"memory": True}, ResourceError), ({"lacking": "tiktoken is not installed"}, UsageError)],
)
def test_what_is_this_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.setattr(loading, "_run", lambda files: {"problems": [], "missing": [], "unexpected": []} | found)
    with pytest.raises(error):
        try_out(bench(tmp_path), subject(model(tmp_path)))


def test_the_process_has_nothing_to_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"HF_TOKEN": "hf_x", "GITHUB_TOKEN": "gh_x", "AWS_SECRET_ACCESS_KEY": "aws_x", "PIP_INDEX_URL": "u"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    seen: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        order = json.loads(options["input"])
        seen.update(options, command=command, files={each.name for each in Path(order["directory"]).iterdir()})
        return SimpleNamespace(returncode=-11, stdout="", stderr="boom\n")

    monkeypatch.setattr(subprocess, "run", run)
    directory = model(tmp_path / "m", {"evil.py": b"", "adapter_config.json": b"{}", "torch.py": b""})
    trial = try_out(bench(tmp_path), subject(directory))
    assert trial.problems == ("the process that loads it ended with -11: boom",)
    assert not set(secrets) & seen["env"].keys()
    assert seen["env"]["HF_HUB_OFFLINE"] == "1"
    assert "-P" in seen["command"], "modules would be looked for beside the model"
    assert not {"evil.py", "adapter_config.json", "torch.py", "README.md"} & seen["files"]
    assert {"config.json", WEIGHTS, "tokenizer.json"} <= seen["files"]


def test_the_bare_environment_finds_the_same_python(tmp_path: Path) -> None:
    bare = bare_environment(tmp_path)
    assert bare.get("PATH") == os.environ.get("PATH")
    assert bare["HOME"] == bare["HF_HOME"] == str(tmp_path)


def test_a_verdict_says_what_was_looked_at() -> None:
    good = Trial((), "LlamaForCausalLM", "bfloat16", 7_615_616_512, 24, (24, 151_936))
    text = show_verdict(Verdict("org/agent@" + "0" * 40, "sha256:" + "1" * 64, 8, {}, trial=good))
    assert "loaded: LlamaForCausalLM, bfloat16, 7.62 B parameters; 24 tokens gave 24 x 151936 finite logits" in text
    bad = Verdict("org/agent", "sha256:" + "1" * 64, 8, {}, trial=Trial(("it is broken",)))
    assert "loading: 1 problem" in show_verdict(bad)
    assert not bad.ok
    assert bad.to_data()["load"]["problems"] == ["it is broken"]


def test_the_bases_tensors_are_those_that_the_lock_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "a"):
        model(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    text = "version: 1\nbase: ./base\nexperts:\n  a: ./a\nmethod:\n  name: ram\noutput:\n  repo: org/x\n"
    (tmp_path / "merge.yaml").write_text(text)
    tools = bench(tmp_path)
    made = make_lock(read_manifest(tmp_path / "merge.yaml").manifest, tools.sources(tmp_path))
    (tmp_path / "merged/ramekin").mkdir(parents=True)
    (tmp_path / "merged" / MANIFEST_COPY).write_text(text)
    (tmp_path / "merged" / LOCK_COPY).write_text(made.to_json())
    assert loading._base_tensors(tools, SimpleNamespace(directory=tmp_path / "merged")) == {*SIZE.shapes}
