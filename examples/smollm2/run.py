"""SmolLM2-135M, three experts and their merge, from nothing to scores, on a CPU.

Every step is kept in the work folder and not repeated while what it came from is the same.
"""

import argparse
import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import base
import cards
import evaluate
import score
import train
from evaluate import Results
from ruamel.yaml import YAML
from tasks import TASKS

HERE = Path(__file__).resolve().parent
STARTED = time.perf_counter()
SHIPPED_NAMESPACE = "smol"  # The namespace that the checked-in merge.yaml uses.
SCORING = ("score.py", "evaluate.py", "tasks.py", "train.py", "cache.py")


def options() -> argparse.Namespace:
    """The command line."""
    settings = train.Settings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("~/.cache/ramekin-smollm2"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=settings.steps, help="training steps (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=settings.learning_rate, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=settings.seed, help="of the training items (default: %(default)s)")
    parser.add_argument(
        "--namespace",
        default=SHIPPED_NAMESPACE,
        help="user or organisation to push to (default: %(default)s). Where HF_ENDPOINT is set, its Hub is used, with "
        "HF_TOKEN; otherwise one that runs inside this program.",
    )
    return parser.parse_args()


def say(text: str) -> None:
    """A heading, with the time since the start."""
    print(f"\n[{time.perf_counter() - STARTED:5.0f} s] {text}", flush=True)


@contextlib.contextmanager
def hub(work: Path) -> Iterator[dict[str, str]]:
    """The environment in which a process talks to the Hub: that of HF_ENDPOINT, or else one of our own."""
    if "HF_ENDPOINT" in os.environ:
        yield dict(os.environ)
        return
    from ramekin.hub import serve

    with serve(work / "hub") as own:
        yield own.env(work / "hf-home")


def run(command: list[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run a command and show what it prints; end with its exit code if it fails."""
    print("$", " ".join(Path(word).name if word == sys.executable else word for word in command), flush=True)
    code = subprocess.run(command, env=environment, cwd=folder, check=False).returncode
    if code:
        raise SystemExit(code)


def manifest(work: Path, namespace: str) -> Path:
    """The checked-in manifest in a folder of its own, because its lock will be written beside it."""
    yaml = YAML()
    content = yaml.load(HERE / "merge.yaml")
    own = f"{SHIPPED_NAMESPACE}/"

    def placed(repo: str) -> str:
        return f"{namespace}/{repo.removeprefix(own)}"

    content["base"] = placed(content["base"])
    for name, repo in content["experts"].items():
        content["experts"][name] = placed(repo)
    content["output"]["repo"] = placed(content["output"]["repo"])
    path = kitchen(work) / "merge.yaml"
    yaml.dump(content, path)
    return path


def kitchen(work: Path) -> Path:
    """Where manifest and lock are, with the program that `evaluate.command` names, and the answers that it keeps."""
    place = work / "merge"
    place.mkdir(parents=True, exist_ok=True)
    for name in SCORING:
        shutil.copyfile(HERE / name, place / name)
    return place


def with_python(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which `python` is the one that this runs in."""
    return {**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"}


def publish(work: Path, models: Mapping[str, Path], environment: dict[str, str], namespace: str) -> Results:
    """Push base and experts, merge, measure and publish by `ramekin run`, and let the published model answer."""
    path = manifest(work, namespace)
    content = YAML(typ="safe").load(path)
    for name, folder in models.items():
        repo = content["base"] if name == "base" else content["experts"][name]
        run([sys.executable, str(HERE / "push.py"), str(folder), repo], environment, HERE)
    say("merging, measuring and publishing")
    run([sys.executable, "-m", "ramekin", "run", path.name], with_python(environment), path.parent)
    say("reading the published model from the Hub, and asking it")
    command = [sys.executable, str(HERE / "evaluate.py"), content["output"]["repo"]]
    return evaluate.read(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def show(scores: Mapping[str, Results], models: Mapping[str, Path]) -> None:
    """Print the table of scores, and one answer of the merged model to each task."""
    say(f"held-out scores, up to {evaluate.ITEMS * len(evaluate.SEEDS)} items per task")
    print(f"{'':8}" + "".join(f"{task:>9}" for task in TASKS) + "   changed elements")
    for name, results in scores.items():
        changed = f"{train.density(models[name]):18.1%}" if name in TASKS else ""
        print(f"{name:8}" + "".join(f"{results[task].score:9.0%}" for task in TASKS) + changed)
    print("\nThe merged model, asked:")
    for result in scores["merged"].values():
        print(textwrap.indent(result.questions[0], "  > "))
        print(textwrap.indent(result.answers[0], "  "))


def main() -> None:
    """Everything, in order."""
    arguments = options()
    work = arguments.work.expanduser().resolve()
    settings = dataclasses.replace(
        train.Settings(), steps=arguments.steps, learning_rate=arguments.learning_rate, seed=arguments.seed
    )
    say(f"base and experts, in {work}")
    models = {"base": base.prepare(work)}
    models |= train.prepare(work, models["base"], settings)
    say("asking the base and the experts")
    scores = {name: score.asked(folder, kitchen(work) / "scores") for name, folder in models.items()}
    cards.write_base_card(models["base"], scores["base"])
    for name in TASKS:
        cards.write_expert_card(models[name], f"{arguments.namespace}/SmolLM2-135M-Instruct", name, scores[name])
    with hub(work) as environment:
        say(f"pushing to {environment['HF_ENDPOINT']}")
        scores["merged"] = publish(work, models, environment, arguments.namespace)
    show(scores, models)


if __name__ == "__main__":
    main()
