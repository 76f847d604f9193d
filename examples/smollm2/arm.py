"""ARM and its rivals on the three experts of run.py: choices, transplantation, and the scores of everything.

Run it after run.py, with the same --work. Every step is kept there and not repeated while what it came from is the
same.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base
import evaluate
import runs
import score
import train
from cache import cached
from evaluate import SEEDS, Results
from ruamel.yaml import YAML
from run import HERE, SCORING, SHIPPED_NAMESPACE, hub, kitchen, say, with_python
from tasks import TASKS

PUBLISHED = "published"
RIVALS: Mapping[str, Mapping[str, Any]] = {
    "ARM by AOS (the paper's)": {"name": "arm"},
    "ARM by AOS, then likelihood": {"name": "arm", "select": ["aos", "likelihood"]},
    "ARM by likelihood": {"name": "arm", "select": "likelihood"},
    "ARM by likelihood, without protection": {"name": "arm", "select": "likelihood", "protect": False},
    "best-of": {"name": "best-of"},
    "tuned": {"name": "tuned", "budget": 24},
}
"""Methods that choose; the pool and the benchmarks are those of arm.yaml."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: The model.
        scores: Share of right answers by task.
        aos: Mean AOS of a candidate.
        likelihood: Mean negative log-likelihood of a candidate's roles on development data, nats a token.
        note: What was chosen, and what was done.
    """

    name: str
    scores: Mapping[str, float]
    aos: float | None = None
    likelihood: float | None = None
    note: str = ""

    @property
    def mean(self) -> float:
        """Mean over the tasks."""
        return sum(self.scores.values()) / len(self.scores)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("~/.cache/ramekin-smollm2"), help="default: %(default)s")
    parser.add_argument("--namespace", default=SHIPPED_NAMESPACE, help="user or organisation (default: %(default)s)")
    return parser.parse_args()


class Kitchen:
    """Merges manifests and scores what comes out."""

    def __init__(self, work: Path, environment: Mapping[str, str], namespace: str) -> None:
        self.work = work
        self._environment = with_python(environment)
        self._namespace = namespace

    def manifest(self, name: str, method: Mapping[str, Any] | None = None) -> Path:
        """arm.yaml, with other names on another Hub, and with another method if one is given.

        What is published is measured by ramekin itself; the rivals, of which only the scores stay, here.
        """
        text = (HERE / "arm.yaml").read_text().replace(f"{SHIPPED_NAMESPACE}/", f"{self._namespace}/")
        content = YAML().load(text)
        if method:
            kept = {key: content["method"][key] for key in ("pool", "trace_dtype")}
            chooses = method["name"] in {"arm", "best-of", "tuned"}
            content["method"] = {**method, **kept} if chooses else dict(method)
        path = self.work / "arm" / name / "merge.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == PUBLISHED:
            for each in SCORING:
                shutil.copyfile(HERE / each, path.parent / each)
            shutil.copytree(kitchen(self.work) / "scores", path.parent / "scores", dirs_exist_ok=True)
        else:
            del content["evaluate"]
        with path.open("w") as file:
            YAML().dump(content, file)
        return path

    def ramekin(self, *arguments: str) -> str:
        """Run a command; what it prints."""
        print("$ ramekin", *(Path(word).name if "/" in word else word for word in arguments), flush=True)
        command = [sys.executable, "-m", "ramekin", *arguments]
        return subprocess.run(
            command, env=dict(self._environment), check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def merged(self, name: str, method: Mapping[str, Any] | None = None) -> tuple[Results, dict[str, Any]]:
        """Merge, and score what came out; the weights are not kept, the report is."""
        slug = "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
        path = self.manifest(slug, method)
        out, kept = path.parent / "out", self.work / "arm" / "scored" / slug
        key = json.loads(self.ramekin("lock", str(path), "--json"))["key"]

        def make(fresh: Path) -> None:
            shutil.rmtree(out, ignore_errors=True)
            self.ramekin("merge", str(path), "--out", str(out), "-q")
            (fresh / "results.json").write_text(evaluate.write(evaluate.evaluate(str(out))))
            shutil.copyfile(out / "ramekin" / "report.json", fresh / "report.json")
            shutil.copytree(out / "ramekin" / "plots", fresh / "plots")
            shutil.copyfile(out / "README.md", fresh / "README.md")
            shutil.rmtree(out)

        cached(kept, {"key": key, "items": evaluate.ITEMS, "seeds": SEEDS}, make)
        return evaluate.read((kept / "results.json").read_text()), json.loads((kept / "report.json").read_text())


def scores(results: Results) -> dict[str, float]:
    """Share of right answers by task."""
    return {task: result.score for task, result in results.items()}


def candidates(kitchen: Kitchen) -> list[Row]:
    """Every candidate of the pool: what is known of it without asking it anything, and its scores."""
    compared = json.loads(kitchen.ramekin("compare", str(kitchen.manifest("compare")), "--json"))
    rows = []
    for name, measured in compared["candidates"].items():
        results, _ = kitchen.merged(name, measured["method"])
        nats = measured["likelihood"].values()
        rows.append(Row(name, scores(results), measured["mean_aos"], sum(nats) / len(nats)))
    return rows


def rival(kitchen: Kitchen, name: str, method: Mapping[str, Any]) -> Row:
    """A method that chooses, with what it chose."""
    results, report = kitchen.merged(name, method)
    note = report["comparison"]["selected"]
    if activation := report.get("activation"):
        given = activation["transplanted"]
        note += "; " + (", ".join(f"{b} {each['fraction']:.1%}" for b, each in given.items()) or "nothing transplanted")
    return Row(name, scores(results), note=note)


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, with mean ranks for equals."""

    def ranks(values: Sequence[float]) -> list[float]:
        return [sum(v < own for v in values) + (sum(v == own for v in values) - 1) / 2 for own in values]

    a, b = ranks(one), ranks(other)
    middle = (len(a) - 1) / 2
    above = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    below = (sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b)) ** 0.5
    return above / below if below else 0.0


def table(rows: Sequence[Row]) -> str:
    """The whole table in Markdown."""
    lines = [f"| | {' | '.join(TASKS)} | mean | mean AOS | likelihood | |", f"|---|{'--:|' * (len(TASKS) + 3)}---|"]
    for row in rows:
        aos = "" if row.aos is None else f"{row.aos:.3f}"
        nats = "" if row.likelihood is None else f"{row.likelihood:.3f}"
        own = " | ".join(f"{row.scores[task]:.0%}" for task in TASKS)
        lines.append(f"| {row.name} | {own} | {row.mean:.1%} | {aos} | {nats} | {row.note} |")
    judged = [row for row in rows if row.aos is not None and row.likelihood is not None]
    means = [row.mean for row in judged]
    by_aos = rank_correlation([row.aos or 0 for row in judged], means)
    by_likelihood = rank_correlation([-(row.likelihood or 0) for row in judged], means)
    number = f"up to {evaluate.ITEMS * len(SEEDS)}"
    lines += [
        "",
        (
            f"Exact match, greedy, {number} held-out items a task (seeds {', '.join(map(str, SEEDS))}; items that both "
            f"draw count once). Of {len(judged)} candidates, rank correlation with the mean score: AOS {by_aos:.2f}, "
            f"likelihood {by_likelihood:.2f}."
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Everything, in order."""
    arguments = options()
    work = arguments.work.expanduser().resolve()
    models = {"base": base.prepare(work)}
    models |= train.prepare(work, models["base"], train.Settings())
    cached(work / "runs", {"seeds": [runs.CALIBRATION_SEED, runs.DEV_SEED]}, runs.write)
    say("asking the base and the experts")
    rows = [Row(name, scores(score.asked(folder, kitchen(work) / "scores"))) for name, folder in models.items()]
    with hub(work) as environment:
        say(f"pushing to {environment['HF_ENDPOINT']}")
        cook = Kitchen(work, environment, arguments.namespace)
        repos = {"base": "SmolLM2-135M-Instruct"} | {name: f"SmolLM2-135M-{name}" for name in TASKS}
        for name, folder in models.items():
            push(environment, folder, f"{arguments.namespace}/{repos[name]}")
        push(environment, work / "runs", f"{arguments.namespace}/agent-runs", "--dataset")
        print(cook.ramekin("roles", str(cook.manifest("roles")), "--samples", "1"))
        say("every candidate of the pool")
        rows += candidates(cook)
        for name, method in RIVALS.items():
            say(name)
            rows.append(rival(cook, name, method))
        say("publishing ARM's merge")
        print(cook.ramekin("run", str(cook.manifest(PUBLISHED))))
    text = table(rows)
    (work / "arm" / "table.md").write_text(text + "\n")
    print(text)


def push(environment: Mapping[str, str], folder: Path, repo: str, *more: str) -> None:
    """Push a folder in a process of its own, which has the Hub's address."""
    command = [sys.executable, str(HERE / "push.py"), str(folder), repo, *more]
    subprocess.run(command, env=dict(environment), cwd=HERE, check=True)


if __name__ == "__main__":
    main()
