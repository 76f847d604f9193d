"""Held-out scores: the share of items that a model answers right, by greedy generation.

As a program: `python evaluate.py MODEL` prints the scores of a folder or of a repo of the Hub as JSON.
"""

import argparse
import json

import torch
from tasks import Task, held_out
from tasks import Item
from train import prompt
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

ANSWER_TOKENS = 48  # Longer than every right answer; a model that is not done by then has not answered.


def answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, items: list[Item]) -> list[str]:
    """What the model says to each item, greedily."""
    prompts = tokenizer(
        [prompt(tokenizer, item) for item in items],
        return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False,
    )  # fmt: skip
    with torch.inference_mode():
        generated = model.generate(**prompts, max_new_tokens=ANSWER_TOKENS, do_sample=False)
    fresh = generated[:, prompts["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(fresh, skip_special_tokens=True)]


def score(model_name: str, count: int, *, show: bool = False) -> dict[str, float]:
    """The share of `count` held-out items of every task that the model answers right."""
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    # float32 computes faster than bfloat16 on most CPUs, and its rounding does not depend on the batch's padding.
    model = AutoModelForCausalLM.from_pretrained(model_name, dtype=torch.float32).eval()
    scores = {}
    for task, items in held_out(count):
        outputs = answers(model, tokenizer, items)
        right = [task.accepts(item.answer, output) for item, output in zip(items, outputs, strict=True)]
        scores[task.name] = sum(right) / count
        if show:
            report(task, items, outputs, right)
    return scores


def report(task: Task, items: list[Item], outputs: list[str], right: list[bool]) -> None:
    for item, output, ok in zip(items, outputs, right, strict=True):
        print(f"{'ok ' if ok else '-- '} {task.name}: {item.user.splitlines()[-1]} -> {output!r} ({item.answer})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder or a repo of the Hub")
    parser.add_argument("--items", type=int, default=20, help="held-out items per task")
    parser.add_argument("--show", action="store_true", help="print every answer")
    arguments = parser.parse_args()
    print(json.dumps(score(arguments.model, arguments.items, show=arguments.show)))
