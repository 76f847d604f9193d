"""Held-out scores: the share of items that a model answers right, by greedy generation.

As a program: `python evaluate.py MODEL` prints the results for a folder or for a repository of the Hub as JSON.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from cache import cached, digest
from tasks import TASKS, Item, Task
from train import WEIGHTS, prompt
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

ITEMS = 30
SEEDS = (0, 1)
ANSWER_TOKENS = 48  # Longer than every right answer; a model that is not done by then has not answered.


@dataclass(frozen=True)
class Result:
    """How a model does one task: the share of right answers, and every question with the model's answer to it."""

    score: float
    questions: list[str]
    answers: list[str]
    right: list[bool]


Results = dict[str, Result]  # by task


def answer(model: Any, tokenizer: PreTrainedTokenizerBase, items: list[Item]) -> list[str]:
    """What the model says to each item, greedily."""
    prompts = tokenizer(
        [prompt(tokenizer, item) for item in items],
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=False,
    )
    with torch.inference_mode():
        generated = model.generate(**prompts, max_new_tokens=ANSWER_TOKENS, do_sample=False)
    fresh = generated[:, prompts["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(fresh, skip_special_tokens=True)]


def drawn(task: Task, count: int, seeds: Sequence[int]) -> list[Item]:
    """`count` held-out items of each seed, those that several draw once."""
    return list(dict.fromkeys(item for seed in seeds for item in task.items("held-out", count, seed)))


def evaluate(model_name: str, count: int = ITEMS, seeds: Sequence[int] = SEEDS) -> Results:
    """Let the model in a folder, or in a repository of the Hub, answer `count` held-out items a seed of every task."""
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    # The weights are bfloat16, the computation is not: float32 is the faster one on most CPUs, and the steadier.
    model: Any = AutoModelForCausalLM.from_pretrained(model_name, dtype=torch.float32)
    results = {}
    for task in TASKS.values():
        items = drawn(task, count, seeds)
        answers = answer(model, tokenizer, items)
        right = [task.accepts(item.answer, given) for item, given in zip(items, answers, strict=True)]
        results[task.name] = Result(sum(right) / len(right), [item.user for item in items], answers, right)
    return results


def read(text: str) -> Results:
    """Results from their JSON, as this program prints it."""
    return {task: Result(**result) for task, result in json.loads(text).items()}


def write(results: Results) -> str:
    """Results as JSON."""
    return json.dumps({task: asdict(result) for task, result in results.items()}, indent=1)


def remembered(model: Path, folder: Path, count: int = ITEMS, seeds: Sequence[int] = SEEDS) -> Results:
    """The results of the model in a folder; `folder` keeps them until the model or the items change."""
    asked = {name: [asdict(item) for item in drawn(task, count, seeds)] for name, task in TASKS.items()}
    inputs = {"weights": digest(model / WEIGHTS), "items": asked, "tokens": ANSWER_TOKENS}
    cached(folder, inputs, lambda fresh: (fresh / "results.json").write_text(write(evaluate(str(model), count, seeds))))
    return read((folder / "results.json").read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or a repository of the Hub")
    parser.add_argument(
        "--items", type=int, default=ITEMS, help="held-out items per task and seed (default: %(default)s)"
    )
    arguments = parser.parse_args()
    print(write(evaluate(arguments.model, arguments.items)))
