"""lm-evaluation-harness at work, in a process of its own: requests come as lines of JSON, and so do its answers.

    {"do": "check", "tasks": ["gsm8k"], "include": null, "unsafe": false, "device": "auto"}
    {"do": "measure", "model": "/a/directory", "tasks": [{"name": "gsm8k", "fewshot": null, "limit": 100}], ...}

Each is answered by any number of lines, the last of which is `{"done": true}` or has an `error`. What libraries print
goes to the other output. It runs apart so that the memory of models and data goes back to the system, and because what
a task does is not ours: it finds no token.
"""

import gc
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, Final, TextIO

from ramekin.manifest.suggestions import near

_BOOTSTRAPS: Final = 1_000  # for the standard errors of what is no mean; the harness draws a hundred times as many
_NO_METRICS: Final = frozenset({"name", "alias", "sample_len", "sample_count", " "})
_BESIDE: Final = 1.3  # of a model's bytes on a GPU, with the activations of a batch: an estimate


class _RefusedError(Exception):
    """A request cannot be met; the kind says how to tell people."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def main() -> int:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    harness = _Harness()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            for answer in harness.answer(request):
                _say(answers, answer)
            _say(answers, {"done": True})
        except Exception as error:  # noqa: BLE001 - libraries and tasks raise what they like, and it is told
            traceback.print_exc()
            _say(answers, {"error": _kind(error), "what": _first_line(error)})
    return 0


def _say(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


class _Harness:
    """The harness with what it has loaded, which is much: its index of tasks alone takes ten seconds."""

    def __init__(self) -> None:
        self._managers: dict[tuple[str | None, bool], Any] = {}

    def answer(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What a request comes to, piece by piece."""
        return self._check(request) if request["do"] == "check" else self._measure(request)

    def _manager(self, include: str | None, *, own: bool) -> Any:
        """Knows tasks: those of the user's directory alone, or with those of the harness."""
        from lm_eval.tasks import TaskManager

        if (include, own) not in self._managers:
            self._managers[include, own] = TaskManager(include_path=include, include_defaults=not own)
        return self._managers[include, own]

    def _manager_of(self, include: str | None, names: list[str]) -> Any:
        """One that knows these tasks, as far as they are known at all."""
        if include is not None:
            own = self._manager(include, own=True)
            if all(name in own.task_index and _is_closed(own, name) for name in names):
                return own
        return self._manager(include, own=False)

    def _check(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Tell where models would run, and what is wrong with the names of tasks."""
        yield {"device": _device(request["device"], 0)[0]}
        names = list(request["tasks"])
        manager = self._manager_of(request["include"], names)
        for name in names:
            entry = manager.task_index.get(name)
            kind = entry.kind.name if entry else None
            if entry is None:
                guess = near(name, manager.all_tasks)
                yield {"task": name, "problem": "unknown", "guess": guess}
            elif kind == "TAG":
                yield {"task": name, "problem": "tag", "tasks": sorted(entry.tags)[:5]}
            elif not request["unsafe"] and (entry.cfg or {}).get("unsafe_code"):
                yield {"task": name, "problem": "unsafe"}

    def _measure(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Measure a model on tasks, one after the other."""
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        device, parallel = _device(request["device"], request["bytes"])
        manager = self._manager_of(request["include"], [task["name"] for task in request["tasks"]])
        model = HFLM(
            pretrained=request["model"],
            dtype="auto",
            device=device,
            parallelize=parallel,
            batch_size=request["batch_size"],
            trust_remote_code=False,
        )
        try:
            for task in request["tasks"]:
                longest = request["max_new_tokens"]
                results = simple_evaluate(
                    model=model,
                    tasks=[task["name"]],
                    task_manager=manager,
                    num_fewshot=task["fewshot"],
                    limit=task["limit"],
                    apply_chat_template=request["apply_chat_template"],
                    gen_kwargs={"max_gen_toks": longest} if longest else None,
                    confirm_run_unsafe_code=request["unsafe"],
                    log_samples=False,
                    bootstrap_iters=_BOOTSTRAPS,
                    **dict.fromkeys(
                        ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"),
                        request["seed"],
                    ),
                )
                yield _measured(task["name"], results or {})
        finally:
            del model
            _free()


def _is_closed(manager: Any, name: str) -> bool:
    """Whether a task of the user's names none of the harness's own: a group may."""
    entry = manager.task_index[name]
    return entry.kind.name in {"TASK", "PY_TASK"}


def _measured(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """What one task came to, as our own data."""
    scores = results["results"].get(name, {})
    ways = results.get("higher_is_better", {}).get(name) or {}
    counted = results.get("n-samples", {}).get(name) or {}
    own = scores.get("sample_count") or {}
    found = []
    for key, value in scores.items():
        metric, _, chosen = key.partition(",")
        if key in _NO_METRICS or metric.endswith("_stderr") or not isinstance(value, Real):
            continue
        stderr = scores.get(f"{metric}_stderr,{chosen}")
        samples = counted.get("effective", own.get(key, scores.get("sample_len")))
        found.append(
            {
                "metric": metric if chosen in {"", "none"} else key,
                "value": float(value),
                "stderr": float(stderr) if isinstance(stderr, Real) else None,
                "samples": int(samples) if samples else None,
                "higher_is_better": ways.get(metric) is not False,
            }
        )
    if not found:
        raise _RefusedError("empty", f"{name}: the harness reports no score of it")
    version = results.get("versions", {}).get(name)
    details = {"examples in the prompt": str(results.get("n-shot", {}).get(name, 0))}
    if isinstance(version, int | float):
        details["version of the task"] = str(version)
    return {"task": name, "found": found, "details": details}


def _device(wanted: str, size: int) -> tuple[str, bool]:
    """Where a model of so many bytes runs, and whether it takes several GPUs."""
    import torch

    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu", False
    free, _ = torch.cuda.mem_get_info(0)
    return "cuda", torch.cuda.device_count() > 1 and size * _BESIDE > free


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _kind(error: Exception) -> str:
    """What sort of a failure it is, for those who have to word it."""
    if isinstance(error, _RefusedError):
        return error.kind
    names = {each.__name__ for each in type(error).__mro__}
    if names & {"OutOfMemoryError", "MemoryError"}:
        return "memory"
    if names & {"ConnectionError", "HTTPError", "HfHubHTTPError", "OfflineModeIsEnabled", "DatasetNotFoundError"}:
        return "source"
    if "marked as unsafe" in str(error):
        return "unsafe"
    return "failed"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    kind = "" if isinstance(error, _RefusedError) else f"{type(error).__name__}: "
    return f"{kind}{text.splitlines()[0] if text else ''}"[:500]


if __name__ == "__main__":
    sys.exit(main())
