"""What one part of a manifest says about another. Works on what is valid of a document with other problems."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ramekin.manifest.document import Document, join
from ramekin.manifest.evaluation import OF_ITS_TASKS, OF_THE_HARNESS, Evaluation
from ramekin.manifest.model import MAX_EXPERTS, Source
from ramekin.manifest.nodes import Flaw
from ramekin.manifest.places import method_named
from ramekin.manifest.suggestions import listed, near
from ramekin.methods import Choosing, Method
from ramekin.text import printable


def disagreements(document: Document, directory: Path) -> Iterator[Flaw]:
    """Everything in a document that is right by itself, and does not go with the rest.

    Args:
        document: The manifest, whether or not it is valid otherwise.
        directory: What local sources are relative to.
    """
    data = document.data if isinstance(document.data, dict) else {}
    experts = data.get("experts")
    named = experts if isinstance(experts, dict) else {}
    yield from _shared_sources(data, named, document.lines, directory)
    if 0 < len(named) <= MAX_EXPERTS:
        if method := _read(data):
            yield from _method(method, tuple(named), document.lines)
        yield from _benchmarks(data, method, tuple(named), document.lines)
        yield from _tasks(data, tuple(named), document.lines)
    yield from _gate(data, document.lines)


def _shared_sources(
    data: Mapping[str, Any], experts: Mapping[str, Any], lines: Mapping[str, int], directory: Path
) -> Iterator[Flaw]:
    """Roles that name the same checkpoint, and an output that is one of the sources."""
    named = {"base": data.get("base")} | {f"experts.{name}": value for name, value in experts.items()}
    seen: dict[tuple[str, str], str] = {}
    for role, value in named.items():
        identity = _identity(value, directory)
        if identity is None:
            continue
        first = seen.setdefault(identity, role)
        if first != role:
            what = f"`{printable(role)}` is the same checkpoint as `{printable(first)}`"
            hint = "name each checkpoint once" if first != "base" else "name a checkpoint trained from the base"
            yield Flaw(what, hint, lines[role], role)
    output = data.get("output")
    target = output.get("repo") if isinstance(output, dict) else None
    if isinstance(target, str) and any(repo == target.strip().casefold() for repo, _ in seen):
        what = f"`output.repo: {printable(target)}` is one of the sources"
        yield Flaw(what, "name another repository: a merge does not replace what it reads", lines["output.repo"])
    older = output.get("supersedes") if isinstance(output, dict) else None
    if isinstance(target, str) and isinstance(older, str) and older.strip().casefold() == target.strip().casefold():
        what = f"`output.supersedes: {printable(older)}` is the output itself"
        yield Flaw(what, "name the older repository, or remove the key", lines["output.supersedes"])


def _identity(value: object, directory: Path) -> tuple[str, str] | None:
    """What makes two sources the same: names are one in any case on the Hub, and no revision mostly means `main`."""
    try:
        source = Source.model_validate(value, strict=True)
    except ValidationError:
        return None
    if source.repo is not None:
        return source.repo.casefold(), source.revision or "main"
    return os.path.normpath(directory / (source.path or "")), ""


def _read(data: Mapping[str, Any]) -> Method | None:
    """The method, if it is right by itself; what is wrong with it is told elsewhere."""
    kind = method_named(data)
    try:
        return kind.model_validate(data["method"], strict=True) if kind else None
    except ValidationError:
        return None


def _method(method: Method, experts: tuple[str, ...], lines: Mapping[str, int]) -> Iterator[Flaw]:
    """A method that needs more experts, and parameters that go by names which the experts do not have."""
    if len(experts) < method.least_experts:
        what = f"`method.name: {method.title()}` needs at least {method.least_experts} experts"
        yield Flaw(what, "name another expert, or choose another method", lines["method.name"])
    lacking: dict[str, list[str]] = {}
    for found in method.misnamed(experts):
        if found.known:
            lacking.setdefault(found.parameter, []).append(found.name)
        else:
            yield _stranger(join("method", found.parameter), found.name, experts, lines)
    for parameter, names in lacking.items():
        path = join("method", parameter)
        hint = f"write for example `{printable(names[0], 64)}: 1.0` below it, or one number for all experts"
        yield Flaw(f"`{path}` has no number for {_shown(names)}", hint, lines[path])


def _benchmarks(
    data: Mapping[str, Any], method: Method | None, experts: tuple[str, ...], lines: Mapping[str, int]
) -> Iterator[Flaw]:
    """Benchmarks that a method needs, and what they name."""
    written = data.get("benchmarks", {})
    found = written if isinstance(written, dict) else {}
    benchmarks = {name: each for name, each in found.items() if isinstance(each, dict)}
    for name, each in benchmarks.items():
        donor = each.get("expert")
        if isinstance(donor, str) and donor not in experts:
            yield _stranger(f"benchmarks.{name}.expert", donor, experts, lines)
    if not isinstance(method, Choosing):
        return
    if written == {}:
        what = f"`method.name: {method.title()}` needs `benchmarks`, and there are none"
        yield Flaw(what, "write what the merge is to be good at: docs/arm.md shows how", lines["method.name"])
        return
    repair = getattr(method, "repair", ())
    for number, name in enumerate(repair if isinstance(repair, tuple) else ()):
        if name not in found:
            yield _stranger(f"method.repair.{number}", name, tuple(found), lines, "benchmarks")
    for name, each in benchmarks.items():
        scores = each.get("scores", {})
        if isinstance(scores, dict):
            yield from _scores(name, scores, method, experts, lines)
            if not each.get("evaluate"):
                yield from _lacking_scores(name, scores, method, lines)


def _scores(
    benchmark: str, scores: Mapping[str, Any], method: Choosing, experts: tuple[str, ...], lines: Mapping[str, int]
) -> Iterator[Flaw]:
    """Scores of what is neither an expert nor a candidate, or of what is both."""
    path = f"benchmarks.{benchmark}.scores"
    judged = tuple(dict.fromkeys((*experts, *method.candidates)))
    for model in scores:
        if model not in judged:
            yield _stranger(path, model, judged, lines, "experts and candidates")
        elif model in experts and model in method.candidates:
            what = f"`{printable(join(path, model), 200)}` is an expert and a candidate"
            yield Flaw(what, "give the expert another name", lines[join(path, model)])


def _lacking_scores(
    benchmark: str, scores: Mapping[str, Any], method: Choosing, lines: Mapping[str, int]
) -> Iterator[Flaw]:
    """Candidates without a score where they are chosen by scores."""
    lacking = [name for name in method.candidates if name not in scores] if "scores" in method.signals else []
    if lacking:
        path = f"benchmarks.{benchmark}"
        what = f"`{printable(path, 100)}` has no score for {_shown(lacking)}"
        hint = "write it below `scores`, have models asked with `evaluate: exact`, or do not select by scores"
        yield Flaw(what, hint, lines[path], path)


def _tasks(data: Mapping[str, Any], experts: tuple[str, ...], lines: Mapping[str, int]) -> Iterator[Flaw]:
    """Whose the tasks are, and keys that go with the harness where a command measures instead."""
    evaluate = _mapping(data, "evaluate")
    benchmarks = {name: each for name, each in _mapping(data, "benchmarks").items() if isinstance(each, dict)}
    tasks = dict(_tasks_of(evaluate))
    yield from _task_names(tasks, lines)
    for number, task in tasks.items():
        path, expert, benchmark = f"evaluate.tasks.{number}", task.get("expert"), task.get("benchmark")
        if isinstance(expert, str) and expert not in experts:
            yield _stranger(f"{path}.expert", expert, experts, lines)
        if isinstance(benchmark, str) and benchmark not in benchmarks:
            yield _stranger(f"{path}.benchmark", benchmark, tuple(benchmarks), lines, "benchmarks")
            continue
        donor = benchmarks[benchmark].get("expert") if isinstance(benchmark, str) else None
        if expert in experts and donor in experts and expert != donor:
            what = f"`{path}.expert: {expert}` is not the expert of `benchmarks.{printable(benchmark, 64)}`, `{donor}`"
            yield Flaw(what, "leave out one of `expert` and `benchmark`", lines[f"{path}.expert"])
    if evaluate.get("command") is None:
        return
    strange = [join("evaluate", key) for key in OF_THE_HARNESS if key in evaluate]
    for number, task in tasks.items():
        strange += [f"evaluate.tasks.{number}.{key}" for key in OF_ITS_TASKS if key in task]
    for path in strange:
        what = f"`{path}` is for lm-evaluation-harness, and `evaluate.command` measures here"
        yield Flaw(what, "remove it, or remove `command`", lines[path], path)


def _tasks_of(evaluate: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The tasks by their number, in their long form."""
    written = evaluate.get("tasks")
    for number, task in enumerate(written if isinstance(written, list) else ()):
        if isinstance(task, str):
            yield number, {"name": task}
        elif isinstance(task, dict):
            yield number, task


def _task_names(tasks: Mapping[int, Mapping[str, Any]], lines: Mapping[str, int]) -> Iterator[Flaw]:
    """A task, or a benchmark, that is named twice."""
    seen: dict[tuple[str, str], int] = {}
    for number, task in tasks.items():
        for key, hint in (("name", "keep one"), ("benchmark", "name the one task that scores it")):
            value = task.get(key)
            if isinstance(value, str) and seen.setdefault((key, value.strip()), number) != number:
                what = f"`evaluate.tasks` has the {'task' if key == 'name' else key} `{printable(value, 64)}` twice"
                yield Flaw(what, hint, lines.get(f"evaluate.tasks.{number}.{key}", lines[f"evaluate.tasks.{number}"]))


def _gate(data: Mapping[str, Any], lines: Mapping[str, int]) -> Iterator[Flaw]:
    """A gate on scores that nobody measures."""
    gate = _mapping(data, "gate")
    if not gate:
        return
    if "evaluate" not in data:
        what = "`gate` is about scores, and there is no `evaluate`"
        yield Flaw(what, "write what is to be measured: docs/evaluation.md shows how", lines["gate"])
        return
    evaluate = _mapping(data, "evaluate")
    default = Evaluation.model_fields["models"].default
    models = evaluate.get("models", default)
    for key, needed in (("of_expert", "experts"), ("of_base", "base")):
        if gate.get(key) is not None and isinstance(models, list | tuple | str) and needed not in models:
            path = join("gate", key)
            yield Flaw(f"`{path}` needs `{needed}` in `evaluate.models`", "add it there", lines[path])
    tasks = {str(task["name"]).strip() for _, task in _tasks_of(evaluate) if isinstance(task.get("name"), str)}
    for name in _mapping(gate, "least"):
        if tasks and name not in tasks:
            yield _stranger("gate.least", name, tuple(sorted(tasks)), lines, "tasks")


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _stranger(path: str, name: str, known: tuple[str, ...], lines: Mapping[str, int], kind: str = "experts") -> Flaw:
    guess = near(name, known)
    hint = f"did you mean `{printable(guess, 64)}`? " if guess else ""
    hint += f"the {kind} are {_shown(known)}" if known else "there are none"
    key = join(path, name)
    between = "." if key in lines else ": "
    shown = f"{printable(path, 100)}{between}{printable(name, 64)}"
    return Flaw(f"`{shown}` is none of the {kind}", hint, lines.get(key, lines[path]))


def _shown(names: Iterable[str]) -> str:
    return printable(listed(names), 300)
