"""An expert from the base: a short supervised training on one task, with updates as sparse as RL's.

The weights are trained in float32 and saved in bfloat16. Most steps of a small learning rate are lost in that rounding,
so that only part of the elements differs from the base: the sparsity that RAM (arXiv 2601.13572) finds in RL experts.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from cache import cached, digest
from safetensors.torch import load_file
from tasks import TASKS, Item
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = "model.safetensors"
CHANGED = 1e-5  # An element counts as changed when it moved by more: RAM's epsilon.


@dataclass(frozen=True)
class Settings:
    """How an expert is trained."""

    steps: int = 60
    batch: int = 8
    learning_rate: float = 2e-4
    warmup: int = 6
    epsilon: float = 1e-4  # So large that elements with small gradients hardly move: that is what makes it sparse.
    seed: int = 0


def prompt(tokenizer: PreTrainedTokenizerBase, item: Item) -> str:
    """The item in the model's chat template, up to where the answer begins."""
    messages = [{"role": "system", "content": item.system}, {"role": "user", "content": item.user}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def collate(tokenizer: PreTrainedTokenizerBase, items: list[Item]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, attention mask and labels, each [items, longest]; labels are -100 but on the answer and its end."""
    rows = []
    for item in items:
        asked = tokenizer(prompt(tokenizer, item), add_special_tokens=False)["input_ids"]
        answered = tokenizer(item.answer + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        rows.append((asked, answered))
    longest = max(len(asked) + len(answered) for asked, answered in rows)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, (asked, answered) in enumerate(rows):
        end = len(asked) + len(answered)
        ids[i, :end] = torch.tensor(asked + answered)
        mask[i, :end] = 1
        labels[i, len(asked) : end] = torch.tensor(answered)
    return ids, mask, labels


def answer_loss(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the answers' tokens; logits are formed for these alone, the vocabulary being most of it."""
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    target = labels[:, 1:]
    answered = target != -100
    return cross_entropy(model.lm_head(hidden[answered]), target[answered])


def train(base: Path, task: str, settings: Settings, folder: Path) -> None:
    """Train the expert of `task` from `base` into `folder`: weights, config, tokenizer and `training.json`."""
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        settings.learning_rate,
        betas=(0.9, 0.95),
        eps=settings.epsilon,
        weight_decay=0.0,
        fused=True,
    )
    items = TASKS[task].items("train", settings.steps * settings.batch, settings.seed)
    losses = []
    started = time.perf_counter()
    for step in range(settings.steps):
        remaining = (settings.steps - step) / settings.steps
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (step + 1) / settings.warmup) * remaining
        batch = items[step * settings.batch : (step + 1) * settings.batch]
        loss = answer_loss(model, *collate(tokenizer, batch))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 10 == 0 or step + 1 == settings.steps:
            rate = (time.perf_counter() - started) / (step + 1)
            print(f"  {task} step {step + 1}/{settings.steps}  loss {loss.item():.3f}  {rate:.2f} s/step", flush=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    changed, elements = changes(base, folder)
    measured = {"task": task, **asdict(settings), "losses": losses, "changed": changed, "elements": elements}
    (folder / "training.json").write_text(json.dumps(measured, indent=1) + "\n")


def changes(base: Path, expert: Path) -> tuple[int, int]:
    """How many elements of the expert's saved weights moved by more than 1e-5, and how many there are."""
    before, after = load_file(base / WEIGHTS), load_file(expert / WEIGHTS)
    moved = sum(int(((after[name].float() - before[name].float()).abs() > CHANGED).sum()) for name in before)
    return moved, sum(tensor.numel() for tensor in before.values())


def density(expert: Path) -> float:
    """The share of elements that training changed, as measured when the expert was saved."""
    measured = json.loads((expert / "training.json").read_text())
    return float(measured["changed"] / measured["elements"])


def prepare(work: Path, base: Path, settings: Settings) -> dict[str, Path]:
    """The folders of the three experts, each trained unless it stands there, made of the same inputs."""
    experts = {task: work / task for task in TASKS}
    for task, folder in experts.items():
        items = TASKS[task].items("train", settings.steps * settings.batch, settings.seed)
        inputs = {"base": digest(base / WEIGHTS), **asdict(settings), "items": [asdict(item) for item in items]}

        def make(unfinished: Path, task: str = task) -> None:
            train(base, task, settings, unfinished)

        if cached(folder, inputs, make):
            print(f"trained {task}: {density(folder):.1%} of the elements changed", flush=True)
    return experts
