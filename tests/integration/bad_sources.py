"""Sources that are hostile, damaged or simply wrong: a line of the table each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ramekin.hub import Sparse
from tests.integration.scenes import STRANGER, Scene, Weights, config, family, weights_file

PLAN: Final = ("plan", "merge.yaml")
RUN: Final = ("run", "merge.yaml")
MERGE: Final = ("merge", "merge.yaml", "--out", "out")
LOCK: Final = ("lock", "merge.yaml")

ANSI: Final = "\x1b[31mred\x1b[0m"
BIDI: Final = "\u202eevil"
COMMANDS: Final = "\n::set-output name=key::evil\n##[set-output name=key]evil"
EVIL: Final = f"{ANSI}{COMMANDS}{BIDI}"
Q: Final = "model.layers.0.self_attn.q_proj.weight"
NORM: Final = "model.norm.weight"
EMBED: Final = "model.embed_tokens.weight"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
SHARDS: Final = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: For the test's id.
        code: Exit code.
        says: Words that stderr must have.
        setup: Puts it in place.
        command: What is run.
        shows: Words of what is on stdout all the same, if something is.
        fetches: Weights have to be looked into before it can be found.
        writes: Files that may appear in the working directory.
        fresh: Run as a process of its own, beside the one that is forked.
    """

    name: str
    code: int
    says: tuple[str, ...]
    setup: Callable[[Scene], Any]
    command: tuple[str, ...] = PLAN
    shows: str = ""
    fetches: bool = False
    writes: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def id(self) -> str:
        """A name that a repository can have too."""
        return self.name.replace(" ", "-").replace("'", "")


def misfit(name: str, *says: str, setup: Callable[[Scene], Any], **more: Any) -> Case:
    """A source that does not fit: the plan shows it, and exits with 5."""
    return Case(name, 5, says, setup, **{"shows": "ramekin plan: "} | more)


def damaged(name: str, *says: str, setup: Callable[[Scene], Any], **more: Any) -> Case:
    """A source that is not what its format says."""
    return Case(name, 6, says, setup, **more)


def absent(name: str, *says: str, setup: Callable[[Scene], Any], **more: Any) -> Case:
    """A source that cannot be had."""
    return Case(name, 4, says, setup, **more)


def header(**entries: Any) -> Callable[[Scene], None]:
    """An expert whose weights have these entries in their header."""
    return lambda scene: scene.expert({WEIGHTS: Weights.of().with_header(**entries)})


def weights(content: bytes) -> Callable[[Scene], None]:
    """An expert with this file of weights."""
    return lambda scene: scene.expert({WEIGHTS: content})


def expert_config(**changes: Any) -> Callable[[Scene], None]:
    """An expert whose config has other values."""
    return lambda scene: scene.expert({"config.json": config(**changes)})


def retyped(dtype: str, size: int) -> Callable[[Scene], None]:
    """An expert all of whose matrices are stored in another type, of `size` bytes an element."""

    def tensor(kind: str, shape: list[int], data: bytes) -> tuple[str, list[int], bytes]:
        return (dtype, shape, bytes(len(data) // 2 * size)) if len(shape) > 1 else (kind, shape, data)

    return weights(weights_file({name: tensor(*old) for name, old in Weights.of().tensors.items()}))


def sharded(role: str = "coder", **placed: str) -> dict[str, bytes | None]:
    """The files of a member in two shards; `placed` changes what the index says, by tensor."""
    tensors = Weights.of(role).tensors
    names = [*tensors]
    parts = (names[: len(names) // 2], names[len(names) // 2 :])
    files: dict[str, bytes | None] = {
        shard: weights_file({name: tensors[name] for name in part}) for shard, part in zip(SHARDS, parts, strict=True)
    }
    where = {name: shard for shard, part in zip(SHARDS, parts, strict=True) for name in part} | placed
    index = json.dumps({"metadata": {}, "weight_map": where}).encode()
    return {WEIGHTS: None, INDEX: index, **files}


def index(**placed: str) -> Callable[[Scene], None]:
    """A sharded expert whose index lies."""
    return lambda scene: scene.expert(sharded(**placed))


def tokenizer(edit: Callable[[dict[str, Any]], None]) -> Callable[[Scene], None]:
    """An expert with an edited tokenizer."""

    def setup(scene: Scene) -> None:
        data = json.loads(family()["coder"]["tokenizer.json"])
        edit(data)
        scene.expert({"tokenizer.json": json.dumps(data).encode()})

    return setup


def permute(data: dict[str, Any]) -> None:
    """Give two tokens each other's ids."""
    vocab = data["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]


def evil_token(data: dict[str, Any]) -> None:
    """Give one id to a token that is no token."""
    vocab = data["model"]["vocab"]
    vocab[EVIL] = vocab.pop("a")


def only(*names: str, **files: bytes) -> Callable[[Scene], None]:
    """An expert that holds a config and these files."""
    content = dict.fromkeys(names, b"\x80\x04 not weights of ours")
    return lambda scene: scene.manifest(coder=scene.repo({"config.json": config(), **content, **files}))


def mixture(scene: Scene) -> None:
    """An expert that is a mixture of experts."""
    tensors = Weights.of().tensors
    up = tensors.pop("model.layers.0.mlp.up_proj.weight")
    tensors |= {f"model.layers.0.mlp.experts.{n}.up_proj.weight": up for n in range(4)}
    changes = {"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4}
    scene.expert({WEIGHTS: weights_file(tensors), "config.json": config(**changes)})


def without(*names: str, **more: tuple[str, list[int], bytes]) -> Callable[[Scene], None]:
    """An expert with tensors less or more."""
    tensors = {name: tensor for name, tensor in Weights.of().tensors.items() if name not in names}
    return weights(weights_file(tensors | more))


def stranger(scene: Scene, **options: Any) -> None:
    """An expert that the token at hand may not have."""
    scene.env["HF_TOKEN"] = STRANGER.token
    scene.expert({}, **options)


def taken_down(scene: Scene) -> None:
    """An expert that the Hub has disabled."""
    scene.expert({})
    scene.hub.store.get(f"demo/{scene.name}-one").set_info(disabled=True)


def repeated(count: int) -> bytes:
    """A config that is nested 500 deep."""
    return b'{"a": ' + b"[" * count + b"]" * count + b"}"


NAN, INF = b"\xc0\x7f", b"\x80\x7f"
TRUNCATED: Final = family()["coder"][WEIGHTS][:-1000]

HEADERS = (
    damaged(
        "header of 200 MB",
        "claims a header of 200,000,000",
        setup=lambda s: s.expert({WEIGHTS: Sparse((200_000_000).to_bytes(8, "little") + b"{", 300_000_000)}),
        fresh=True,
    ),
    damaged("header is no JSON", "not valid JSON", setup=weights((8).to_bytes(8, "little") + b'{"a": }}' + bytes(64))),
    damaged("a pickle by the name of weights", "header", setup=weights(b"PK\x03\x04" + bytes(5000))),
    damaged("weights are an empty file", "too few", setup=weights(b"")),
    damaged("weights are cut off", "beyond the file", setup=weights(TRUNCATED), fresh=True),
    damaged("weights are cut off in a merge", "beyond the file", setup=weights(TRUNCATED), command=MERGE),
    damaged("overlapping offsets", "overlaps", setup=header(**{NORM: {"data_offsets": [0, 64]}})),
    damaged("negative shape", "not a list of whole numbers", setup=header(**{Q: {"shape": [-32, -32]}})),
    damaged("absurd shape", "dimension beyond", setup=header(**{Q: {"shape": [2**62, 2**62]}})),
    damaged("offsets behind the file", "beyond the file", setup=header(**{Q: {"data_offsets": [2**60, 2**60 + 2048]}})),
    damaged(
        "tensor named by an attacker",
        "do not print",
        setup=header(**{EVIL: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    ),
    damaged(
        "tensor name of 10 kB",
        "10000 characters",
        setup=header(**{"x" * 10_000: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    ),
    damaged("element type of an attacker", "unknown element type", setup=header(**{Q: {"dtype": EVIL + "x" * 10_000}})),
    damaged(
        "index leads out", "not a safetensors file beside it", setup=index(**{Q: "../../../etc/passwd.safetensors"})
    ),
    damaged("index leads to a pickle", "not a safetensors file beside it", setup=index(**{Q: "pytorch_model.bin"})),
    damaged("index names an evil file", "not a safetensors file beside it", setup=index(**{Q: EVIL + "x" * 10_000})),
    damaged("index names an absent file", "does not have", setup=index(**{Q: "model-00003-of-00002.safetensors"})),
    damaged("index misplaces a tensor", "but it lies in", setup=index(**{Q: SHARDS[1]})),
    damaged("index of nothing there", "does not hold it", setup=index(extra=SHARDS[0])),
    damaged("index is no JSON", "not valid JSON", setup=lambda s: s.expert(sharded() | {INDEX: b"{"})),
    damaged("index is a list", "weight_map", setup=lambda s: s.expert(sharded() | {INDEX: b'{"weight_map": []}'})),
    damaged(
        "index of 101 MB",
        "more than 100,000,000",
        setup=lambda s: s.expert(sharded() | {INDEX: Sparse(b"{", 101_000_000)}),
    ),
    damaged("base is damaged", "beyond the file", setup=lambda s: s.base({WEIGHTS: TRUNCATED})),
)

VALUES = (
    damaged(
        "one NaN",
        "expert:coder: model.safetensors",
        f"`{Q}`",
        "1 value",
        setup=weights(Weights.of().poked(Q, NAN, 7)),
        command=MERGE,
        fetches=True,
        writes=("merge.lock",),
        fresh=True,
    ),
    damaged(
        "three infinities",
        "model.safetensors",
        f"`{EMBED}`",
        "3 values",
        setup=weights(Weights.of().poked(EMBED, INF, 1, 2, 8000)),
        command=RUN,
        fetches=True,
        writes=("merge.lock",),
    ),
    damaged(
        "NaN in the base",
        "model.safetensors",
        f"`{NORM}`",
        "32 values",
        setup=lambda s: s.base({WEIGHTS: Weights.of("base").poked(NORM, NAN, *range(32))}),
        command=MERGE,
        fetches=True,
        writes=("merge.lock",),
    ),
    damaged(
        "NaN in a shard",
        SHARDS[1],
        f"`{NORM}`",
        "1 value",
        setup=lambda s: s.expert(sharded() | {SHARDS[1]: _poked_shard()}),
        command=("stats", "merge.yaml"),
        fetches=True,
        writes=("merge.lock",),
    ),
)


def _poked_shard() -> bytes:
    shard = sharded()[SHARDS[1]]
    assert shard is not None
    end = 8 + int.from_bytes(shard[:8], "little")
    return Weights(json.loads(shard[8:end]), shard[end:]).poked(NORM, NAN, 0)


NO_WEIGHTS = (
    Case("pickles only", 5, ("only there as pickles", "convert it"), only("pytorch_model.bin"), fresh=True),
    Case("pickles as pt", 5, ("only there as pickles",), only("consolidated.00.pth")),
    Case("GGUF only", 5, ("only GGUF files", "were made from"), only("model-q4_k_m.gguf")),
    Case(
        "adapter whose config is none",
        6,
        ("has no `peft_type`",),
        only("adapter_model.safetensors", **{"adapter_config.json": b"{}"}),
    ),
    Case(
        "adapter as a pickle",
        5,
        ("only there as a pickle", "convert it"),
        only("adapter_model.bin", **{"adapter_config.json": b"{}"}),
    ),
    Case(
        "adapter as a base",
        5,
        ("a base must be a whole model",),
        lambda s: s.manifest(base=s.repo({"adapter_model.safetensors": b"x", "adapter_config.json": b"{}"})),
    ),
    Case("shards without an index", 5, ("but no `model.safetensors.index.json`",), only(*SHARDS)),
    Case("nothing but a config", 5, ("has neither",), only()),
    Case("an empty repository", 5, ("has neither",), lambda s: s.manifest(coder=s.repo({}))),
    Case(
        "base without a config",
        5,
        ("no `config.json`",),
        lambda s: s.base({"config.json": None}),
        command=PLAN,
    ),
)

MISFITS = (
    misfit("tensor missing", NORM, "is in the base and not in this expert", setup=without(NORM)),
    misfit(
        "tensor too many",
        "coder: extra: is in this expert and not in the base",
        setup=without(extra=("BF16", [2], b"\0\0\0\0")),
    ),
    misfit(
        "other shape",
        Q,
        "is 32 x 32 in the base and 16 x 64 here",
        setup=header(**{Q: {"shape": [16, 64]}}),
        fresh=True,
    ),
    misfit("other shape in a merge", Q, setup=header(**{Q: {"shape": [16, 64]}}), command=MERGE, shows=""),
    misfit("other architecture", "model_type", '`"gpt2"` here', setup=expert_config(model_type="gpt2")),
    misfit("other rope theta", "rope_theta", "1000000", setup=expert_config(rope_theta=1e6)),
    misfit("other heads", "num_key_value_heads", setup=expert_config(num_key_value_heads=4)),
    misfit("permuted ids", "2 ids mean another token", setup=tokenizer(permute)),
    misfit("token of an attacker", "another token", setup=tokenizer(evil_token)),
    misfit("a quantised config", "quantised (awq)", setup=expert_config(quantization_config={"quant_method": "awq"})),
    misfit("quantised by an attacker", "quantised", setup=expert_config(quantization_config={"quant_method": EVIL})),
    misfit("float8 weights", "F8_E4M3", "cannot be merged", setup=retyped("F8_E4M3", 1)),
    misfit("int8 weights", "I8", "cannot be merged", setup=retyped("I8", 1)),
    misfit("float64 weights", "F64", "cannot be merged", setup=retyped("F64", 8)),
    misfit("a mixture for a dense model", "model_type", "experts.", setup=mixture),
    misfit(
        "config of an attacker",
        "hidden_act",
        "_size",
        setup=lambda s: s.manifest(
            base=s.variant({"config.json": config("base", **{f"{ANSI}{BIDI}_size": 1})}, "base"),
            coder=s.variant({"config.json": config(hidden_act=EVIL * 500, **{f"{ANSI}{BIDI}_size": EVIL})}, name="two"),
        ),
    ),
    misfit(
        "everything at once",
        "coder: model_type",
        "tool: quantization_config",
        "memory: model.layers.{0-1}.*",
        setup=lambda s: s.manifest(
            coder=s.variant({"config.json": config(model_type="gpt2")}),
            tool=s.variant({"config.json": config(quantization_config={"quant_method": "gptq"})}, "tool", "two"),
            memory=s.variant({WEIGHTS: weights_file({NORM: Weights.of().tensors[NORM]})}, "memory", "three"),
        ),
    ),
)

SMALL_FILES = (
    damaged("config is no JSON", "config.json is not valid JSON", setup=lambda s: s.expert({"config.json": b"{"})),
    damaged("config is a list", "is not a JSON object", setup=lambda s: s.expert({"config.json": b"[]"})),
    damaged("config is no text", "not UTF-8", setup=lambda s: s.expert({"config.json": b'{"a": "\xff"}'})),
    damaged("config says a key twice", "occurs twice", setup=lambda s: s.expert({"config.json": b'{"a": 1, "a": 2}'})),
    damaged("config nested 500 deep", "nested", setup=lambda s: s.expert({"config.json": repeated(500)})),
    damaged(
        "config of 11 MB", "more than 10,000,000", setup=lambda s: s.expert({"config.json": b"{" + b" " * 11_000_000})
    ),
    damaged("config lies about its vocabulary", "`vocab_size`", setup=expert_config(vocab_size="many")),
    damaged(
        "tokenizer is no JSON", "tokenizer.json is not valid JSON", setup=lambda s: s.expert({"tokenizer.json": b"\0"})
    ),
    damaged("tokenizer without a model", "has no `model`", setup=lambda s: s.expert({"tokenizer.json": b"{}"})),
    damaged(
        "vocabulary of texts",
        "no vocabulary",
        setup=tokenizer(lambda data: data["model"]["vocab"].update(a="one")),
    ),
)

ABSENT = (
    absent("repository absent", "does not exist", "HF_TOKEN", setup=lambda s: s.manifest(coder="demo/nobody")),
    absent(
        "two repositories absent",
        "demo/nobody",
        "demo/no-one",
        setup=lambda s: s.manifest(coder="demo/nobody", tool="demo/no-one"),
    ),
    absent("base absent", "demo/nobody", setup=lambda s: s.manifest(base="demo/nobody"), command=RUN),
    absent(
        "repository absent for lock", "does not exist", setup=lambda s: s.manifest(coder="demo/nobody"), command=LOCK
    ),
    absent("gated", "is gated", "accept its terms", setup=lambda s: stranger(s, gated="auto")),
    absent("gated for lock", "is gated", setup=lambda s: stranger(s, gated="manual"), command=LOCK),
    absent("private", "does not exist, or this token may not see it", setup=lambda s: stranger(s, private=True)),
    absent("taken down", "disabled", setup=taken_down),
    absent("a wrong token", "401", setup=lambda s: (s.manifest(), s.env.update(HF_TOKEN="hf_nobody_has_this_one"))),
    absent(
        "revision absent",
        "no such revision",
        "branch, tag or commit",
        setup=lambda s: s.manifest(coder="demo/coder@v9"),
    ),
    absent("branch absent", "no such revision", setup=lambda s: s.manifest(coder="demo/coder@feature/new")),
    absent("commit absent", "no such revision", setup=lambda s: s.manifest(coder=f"demo/coder@{'0' * 40}")),
    absent("directory absent", "no such directory", setup=lambda s: s.manifest(coder="./nowhere")),
    absent(
        "directory is a file", "no such directory", setup=lambda s: (s.write("file", b"x"), s.manifest(coder="./file"))
    ),
    absent(
        "directory of nobody",
        "no such directory",
        setup=lambda s: s.manifest(coder="~nobody-of-this-name/model"),
    ),
    absent(
        "directory is a loop",
        "no such directory",
        setup=lambda s: ((s.directory / "loop").symlink_to("loop"), s.manifest(coder="./loop")),
    ),
    absent("offline", "HF_HUB_OFFLINE", setup=lambda s: (s.manifest(), s.env.update(HF_HUB_OFFLINE="1")), fresh=True),
    absent(
        "nobody at the other end",
        "the network gave up",
        setup=lambda s: (s.manifest(), s.env.update(HF_ENDPOINT="http://127.0.0.1:9")),
        fresh=True,
    ),
    Case(
        "an empty directory",
        5,
        ("has neither",),
        lambda s: ((s.directory / "empty").mkdir(), s.manifest(coder="./empty")),
    ),
    Case(
        "a local file cut off",
        6,
        ("beyond the file",),
        lambda s: (s.local("mine", family()["coder"] | {WEIGHTS: TRUNCATED}), s.manifest(coder="./mine")),
    ),
    Case(
        "a directory with an evil name",
        5,
        ("has neither",),
        lambda s: ((s.directory / "x##[set-output]").mkdir(), s.manifest(coder="./x##[set-output]")),
    ),
)

CASES = (*HEADERS, *VALUES, *NO_WEIGHTS, *MISFITS, *SMALL_FILES, *ABSENT)
