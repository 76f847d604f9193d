"""Plans to render: one that can be carried out, one that cannot, and one that strangers filled with traps."""

from ramekin.checkpoint.findings import Finding
from ramekin.plan.cost import PlannedCost
from ramekin.plan.disk import ModeCost, PlannedDisk
from ramekin.plan.measuring import PlannedEvaluation
from ramekin.plan.model import (
    Change,
    Plan,
    PlannedLayout,
    PlannedLicence,
    PlannedMethod,
    PlannedSource,
    Target,
)

_BASE = "9c0b4a1e5d7f2a3b4c5d6e7f8091a2b3c4d5e6f7"
_ASSUMPTIONS = "downloads at 100 MB/s, reading at 1 GB/s, writing at 500 MB/s, uploads at 50 MB/s"


def _source(role: str, source: str, first: str, licence: str | None, **more: object) -> PlannedSource:
    return PlannedSource(
        role=role, source=source, commit=first + _BASE[len(first) :], license=licence, files=9,
        bytes=15_242_713_120, **more,
    )  # fmt: skip


SOURCES = (
    _source("base", "Qwen/Qwen2.5-7B-Instruct", "a09a3545", "apache-2.0"),
    _source("expert:coder", "Gen-Verse/ReasonFlux-Coder-7B", "91b64e2c", "mit"),
    _source("expert:tool", "emrecanacikgoz/Qwen2.5-7B-Instruct-ToolRL-grpo-cold", "3ab2e5f0", None, requested="main"),
    _source("expert:memory", "BytedTsinghua-SIA/RL-MemoryAgent-7B", "c45d1207", "apache-2.0", private=True),
)

READY = Plan(
    schema_version=1,
    manifest="merge.yaml",
    key="sha256:" + "4f" * 32,
    action="publish",
    reason="the Hub holds another merge",
    target=Target(repo="my-org/agent-7b", exists=True, state="ours", head="77" * 20, key="sha256:" + "0b" * 32),
    method=PlannedMethod(name="ram+", parameters={"epsilon": 1e-05, "r": 0.1, "alpha": 2.0}),
    sources=SOURCES,
    findings=(
        Finding(
            "note", "expert:coder", "model.embed_tokens.weight",
            "is 152064 x 3584 in the base and 151936 x 3584 here; rows that both have are merged, and the base decides"
            " the shape",
        ),
        Finding("note", "expert:coder", "eos_token_id", "is `151645` in the base and `[151645, 151643]` here"),
        Finding("note", "expert:tool", "all tensors", "are float32 here and bfloat16 in the base"),
        Finding(
            "note", "expert:tool", "chat template", "is another than the base's, which the merged model gets",
            "prompt the merged model by the base's template; formats of this expert, as for tool calls, may differ",
        ),
    ),
    licence=PlannedLicence(
        licence="apache-2.0",
        notices=("keep the copyright and licence notices of `Gen-Verse/ReasonFlux-Coder-7B` (mit)",),
    ),
    layout=PlannedLayout(
        tensors=339, elements=7_615_616_512, files=4, bytes=15_231_233_024, dtypes={"BF16": 339}
    ),
    cost=PlannedCost(
        download_bytes=30_485_426_240, download_files=8, at_hand_bytes=30_485_426_240, read_bytes=121_849_864_192,
        write_bytes=15_242_713_120, disk_bytes=45_728_139_360, memory_bytes=402_653_184, seconds=763,
        assumptions=_ASSUMPTIONS,
        disk=PlannedDisk(
            mode="normal", reason="there is room for everything", free_bytes=120_000_000_000,
            normal=ModeCost(
                disk_bytes=45_728_139_360, home_bytes=30_485_426_240, download_bytes=30_485_426_240
            ),
            low_disk=ModeCost(
                disk_bytes=12_104_200_000, home_bytes=22_800_000, download_bytes=60_947_500_000,
                repeated_bytes=30_462_073_760,
            ),
        ),
    ),
    changes=(
        Change(
            subject="coder", old="Gen-Verse/ReasonFlux-Coder-7B@1c0ffee", new="Gen-Verse/ReasonFlux-Coder-7B@91b64e2",
            url=f"Gen-Verse/ReasonFlux-Coder-7B/compare/1c0ffee{_BASE[7:]}..91b64e2c{_BASE[8:]}",
        ),
        Change(subject="memory", old=None, new="BytedTsinghua-SIA/RL-MemoryAgent-7B@c45d120"),
        Change(subject="method.r", old="0.2", new="0.1"),
    ),
    evaluation=PlannedEvaluation(
        harness="lm-evaluation-harness", tasks=("gsm8k", "humaneval (pass@1, no examples, of coder)"),
        models=("base", "expert:coder", "expert:tool", "expert:memory", "merge"),
        gate=("every task 0.95 of its expert's score", "gsm8k 0.5"),
    ),
)  # fmt: skip

_TRAINED = "use an expert that was trained from this base, with its tensors unchanged in name and shape"

REFUSED = READY.model_copy(
    update={
        "action": "refuse",
        "reason": "the sources do not fit together",
        "target": Target(repo="my-org/agent-7b", exists=False, state="absent"),
        "findings": (
            Finding(
                "error", "expert:coder", "num_hidden_layers", "is `28` in the base and `36` here",
                "use an expert that was trained from this base; such a value decides what the weights mean",
            ),
            Finding(
                "error", "expert:coder", "model.layers.{28-35}.mlp.up_proj.weight",
                "is in this expert and not in the base (8 tensors)", _TRAINED,
            ),
            Finding(
                "error", "expert:coder", "model.layers.{0-27}.self_attn.q_proj.weight",
                "is 3584 x 3584 in the base and 4096 x 3584 here (28 tensors)", _TRAINED,
            ),
            Finding(
                "error", "expert:memory", "tokenizer",
                "2 ids mean another token: 151643 (`<|endoftext|>` in the base, `<pad>` here), 151644 (`<|im_start|>`"
                " in the base, `<s>` here)",
                "use an expert that kept the base's tokenizer; rows of the embeddings would mix different tokens",
            ),
        ),
        "licence": PlannedLicence(
            problems=("`org/closed` (cc-by-nc-nd-4.0) forbids derivatives, and a merge is one",),
        ),
        "layout": None,
        "cost": None,
        "changes": (),
        "evaluation": None,
    }
)  # fmt: skip

_TRAP = "::set-output name=x::y | <img src=x onerror=alert(1)> `tick` @everyone [a](javascript:b) \\`"

HOSTILE = READY.model_copy(
    update={
        "manifest": f"merge`|{_TRAP}.yaml",
        "reason": f"odd ` tick {_TRAP}",
        "target": Target(repo="my-org/agent-7b", exists=True, state="foreign", head="77" * 20, private=False),
        "sources": (
            _source("base", f"./a|b/{_TRAP}", "a09a3545", _TRAP, kind="local"),
            _source("expert:coder", "org/x" + "y" * 90, "91b64e2c", "mit", requested="refs/pr/1|x"),
        ),
        "findings": (
            Finding("error", "base", _TRAP, f"has {_TRAP}", _TRAP),
            Finding("note", "expert:coder", f"`{_TRAP}", f"is `{_TRAP}` in the base", f"`{_TRAP}"),
        ),
        "licence": PlannedLicence(licence=_TRAP, notices=(_TRAP,), problems=(_TRAP,)),
        "changes": (Change(subject=_TRAP, old=_TRAP, new=_TRAP, url=f"{_TRAP}/compare/a..b"),),
        "evaluation": PlannedEvaluation(harness=_TRAP, tasks=(_TRAP,), models=("base", "merge"), gate=(_TRAP,)),
    }
)

SAMPLES = {"ready": READY, "refused": REFUSED, "hostile": HOSTILE}
