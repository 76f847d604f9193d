"""Recorded runs of the tasks, as ARM reads them: what the user asks and what a perfect agent answers.

They are drawn from the training values with seeds of their own. The held-out items, by which everything is scored in
the end, share no value with them; calibration and development data share no item.
"""

import json
from pathlib import Path

from tasks import TASKS, Item

CALIBRATION_SEED = 101
DEV_SEED = 202
CALIBRATION_ITEMS = 60
DEV_ITEMS = 30


def write(folder: Path) -> None:
    """`calibration/TASK.jsonl` and `dev/TASK.jsonl` for every task, with a card."""
    for name, task in TASKS.items():
        calibration = task.items("train", CALIBRATION_ITEMS, CALIBRATION_SEED)
        drawn = task.items("train", CALIBRATION_ITEMS + DEV_ITEMS, DEV_SEED)
        dev = [item for item in drawn if item not in calibration][:DEV_ITEMS]
        for use, items in (("calibration", calibration), ("dev", dev)):
            place = folder / use / f"{name}.jsonl"
            place.parent.mkdir(parents=True, exist_ok=True)
            lines = (json.dumps(run(item, f"{use}-{name}-{number}")) for number, item in enumerate(items))
            place.write_text("".join(f"{line}\n" for line in lines))
    (folder / "README.md").write_text(CARD)


def run(item: Item, name: str) -> dict[str, object]:
    """One run, as a chat."""
    said = (("system", item.system), ("user", item.user), ("assistant", item.answer))
    messages = [{"role": role, "content": content} for role, content in said]
    return {"id": name, "task_id": name, "messages": messages}


CARD = f"""\
---
license: apache-2.0
language:
- en
---
# Generated runs of three small agent tasks

{CALIBRATION_ITEMS} runs a task in which neurons are watched, and {DEV_ITEMS} others by which merges are judged. Drawn
by code, from seeds; answered by the code that drew them.
"""
