"""Whatever the file holds: a manifest, or a `ManifestError` whose texts can be shown."""

import random
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_manifest_reading import COMPLETE
from test_manifest_wrong import assert_showable
from wrong_manifests import WRONG, arm, measured, tau, whole

from ramekin.errors import ManifestError
from ramekin.manifest.document import read_document
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.manifest.schema import manifest_schema
from ramekin.methods import method_names

_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_TOKENS = st.sampled_from(
    [
        *"{}[],:&*!|>'\"%@`?-#~\n\t\\\0\r \x85\u2028\ufeff",
        *(": ", "- ", "? ", "--- ", "...\n", "<<: ", "&a ", "*a ", "!!str ", "!", "\n  ", "\n    ", "|9", ">-"),
        *('"\\u', '"\\U', '"\\x'),
        *("version", "base", "experts", "method", "name", "repo", "revision", "path", "output", "card", "ram+"),
        *(
            "weight",
            "lambda",
            "expert",
            "ties",
            "dare",
            "model-stock",
            "ram-unique",
            "coder",
            "tool",
            "by name",
            "for all",
            "arm",
            "pool",
            "select",
            "repair",
            "word",
            "list",
        ),
        *("benchmarks", "role", "calibration", "dev", "scores", "regex", "json", "template_kwargs", "tool-call"),
        *("evaluate", "tasks", "command", "gate", "least", "of_expert", "models", "results", "dataset"),
        *(
            "hf://datasets/org/name@main/x.jsonl",
            "hf://",
            "@",
            "%2F",
            "..",
            "(?P<span>",
            "(?",
            "[[",
            "*+",
            "{9999999999}",
        ),
        *("1", "0x", "1e999", ".nan", "-.inf", "9" * 50, "true", "null", "yes", "org/name", "./x", "org/name@"),
    ]
)


_WEIGHTED = whole(method="method:\n  name: dare-ties\n  seed: 7\n  weight:\n    coder: 1\n    tool: 2\n  lambda: 2\n")
_CHOSEN = arm(
    "pool: [average, {name: ties, weight: {coder: 1, tool: 2}}, {name: ram-unique, expert: tool}]\n"
    "  select: [aos, scores]\n  repair: [tau]\n",
    tau(
        role="{regex: '<a>(?P<span>.*?)</a>', json: null}",
        dev="hf://datasets/org/name@refs%2Fpr%2F1/x.jsonl",
        scores="{tool: 0.9, average: 0.4}",
        evaluate="exact",
        template_kwargs="{thinking: false}",
        assistant_prefix="'A: '",
        assistant_suffix="'B'",
    ),
)
_MEASURED = measured(
    "\n  tasks:\n    - gsm8k\n    - {name: mmlu, fewshot: 5, expert: tool, results: {dataset: a/b, task: c}}\n"
    "  models: [base, experts]\n  reads: x",
    "{of_expert: 0.95, least: {gsm8k: 0.5}}",
)
_EDITS = st.tuples(
    st.integers(0, max(map(len, (COMPLETE, _CHOSEN)))), st.integers(0, 12), _TOKENS | st.text(max_size=3)
)


@pytest.fixture
def outcome(tmp_path: Path):
    """Read what is given, and check what every outcome has in common."""
    path = tmp_path / "merge.yaml"

    def _outcome(content: bytes) -> LoadedManifest | ManifestError:
        path.write_bytes(content)
        lines = {*range(1, content.count(b"\n") + content.count(b"\r") + 2)}
        try:
            loaded = read_manifest(path)
        except ManifestError as error:
            refusal = error
        else:
            assert set(loaded.lines.values()) <= lines
            return loaded
        assert_showable(refusal)
        assert {problem.line for problem in refusal.problems} <= lines
        return refusal

    return _outcome


@_SETTINGS
@given(content=st.binary(max_size=300))
def test_random_bytes(outcome, content: bytes) -> None:
    assert isinstance(outcome(content), ManifestError)


@_SETTINGS
@given(text=st.text(max_size=300))
def test_random_text(outcome, text: str) -> None:
    outcome(text.encode("utf-8", "surrogatepass"))


@_SETTINGS
@given(tokens=st.lists(_TOKENS, max_size=40))
def test_random_tokens(outcome, tokens: list[str]) -> None:
    outcome("".join(tokens).encode())


@_SETTINGS
@given(text=st.sampled_from([COMPLETE, _WEIGHTED, _CHOSEN, _MEASURED]), edits=st.lists(_EDITS, max_size=4))
def test_mutated_manifests(outcome, text: str, edits: list[tuple[int, int, str]]) -> None:
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    outcome(text.encode("utf-8", "surrogatepass"))


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_INNER = ["repo", "path", "name", "epsilon", "alpha", "private", "shard_size", "dtype", "language"]
_WEIGHING = ["weight", "lambda", "density", "drop_rate", "seed", "filter_wise", "expert", "scale"]
_KEYS = st.sampled_from(_INNER) | st.text(max_size=5)
_TOP = st.sampled_from(["version", "base", "experts", "method", "output", "card", "benchmarks", "evaluate", "gate"])
_VALUES = st.recursive(
    _SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(_KEYS, below, max_size=3), max_leaves=6
)


@_SETTINGS
@given(parts=st.dictionaries(_TOP | _KEYS, _VALUES))
def test_any_value_anywhere(outcome, parts: dict[str, object]) -> None:
    outcome("".join(f"{_yaml(key)}: {_yaml(value)}\n" for key, value in parts.items()).encode("utf-8", "surrogatepass"))


@_SETTINGS
@given(
    name=st.sampled_from(method_names()),
    parameters=st.dictionaries(
        st.sampled_from(_WEIGHING), _SCALARS | st.dictionaries(st.sampled_from(["coder", "tool"]) | st.text(), _SCALARS)
    ),
)
@example(name="task-arithmetic", parameters={"weight": {"\x1f": "0"}})
def test_any_parameter_of_any_method(outcome, name: str, parameters: dict[str, object]) -> None:
    method = f"method: {_yaml({'name': name} | parameters)}\n"
    made = outcome(whole(method=method).encode("utf-8", "surrogatepass"))
    if isinstance(made, LoadedManifest):
        assert made.manifest.method.misnamed(("coder", "tool")) == ()
        assert made.manifest.method.name == name


_SCHEMA = jsonschema.Draft202012Validator(manifest_schema())
_CHOOSING = ["pool", "select", "repair", "top_k", "protect", "collisions", "trace_dtype", "saliency", "shift"]
_BENCHMARK = ["expert", "role", "calibration", "dev", "scores", "evaluate", "template_kwargs", "assistant_prefix"]
_WORDS = st.sampled_from(
    ["ties", "average", "arm", "tau", "aos", "scores", "all", "tool", "webshop", "hf://datasets/a/b"]
)
_PARTS_OF_A_ROLE = st.dictionaries(st.sampled_from(["name", "regex", "json"]), _WORDS | _SCALARS, max_size=2)
_ANYTHING = (
    _WORDS
    | _PARTS_OF_A_ROLE
    | _VALUES
    | st.lists(
        _WORDS | st.dictionaries(st.sampled_from(["name", *_WEIGHING]), _WORDS | _VALUES, max_size=3), max_size=4
    )
    | st.dictionaries(_WORDS | st.text(max_size=5), _SCALARS, max_size=3)
)


@_SETTINGS
@given(
    name=st.sampled_from(["arm", "best-of"]),
    parameters=st.dictionaries(st.sampled_from(_CHOOSING), _ANYTHING, max_size=3),
    benchmark=st.dictionaries(st.sampled_from(_BENCHMARK) | st.text(max_size=5), _ANYTHING, max_size=3),
    called=st.just("tau") | st.text(max_size=70),
)
def test_any_choice_among_candidates(
    outcome, name: str, parameters: dict[str, object], benchmark: dict[str, object], called: str
) -> None:
    right = {"expert": "tool", "role": "tool-call", "calibration": "./tau.jsonl"}
    method = f"method: {_yaml({'name': name} | parameters)}\n"
    benchmarks = f"benchmarks: {_yaml({called: right | benchmark})}\n"
    made = outcome(whole(method=method, benchmarks=benchmarks).encode("utf-8", "surrogatepass"))
    if isinstance(made, LoadedManifest):
        manifest = made.manifest
        assert set(manifest.method.parameters()["pool"]) == set(manifest.method.candidates)
        assert [*manifest.data] == [f"data:{called}:{use}" for use in manifest.benchmarks[called].data]
        assert all(each.role.parser("Action: x") is not None for each in manifest.benchmarks.values())
        if not any(text != text.strip() for text in _texts([*parameters.values(), *benchmark.values()])):
            assert [*_SCHEMA.iter_errors(read_document(made.text).data)] == []


_OF_EVALUATE = ["tasks", "command", "models", "include", "reads", "seed", "batch_size", "timeout", "max_new_tokens"]
_OF_A_TASK = ["name", "metric", "fewshot", "limit", "expert", "benchmark", "results"]
_TASKS = st.lists(_WORDS | st.dictionaries(st.sampled_from(_OF_A_TASK), _WORDS | _VALUES, max_size=4), max_size=3)
_DEMANDS = st.dictionaries(st.sampled_from(["of_expert", "of_base", "least"]), _SCALARS | _ANYTHING, max_size=3)


@_SETTINGS
@given(
    evaluate=st.dictionaries(st.sampled_from(_OF_EVALUATE), _TASKS | _ANYTHING, max_size=3),
    tasks=_TASKS,
    gate=st.none() | _DEMANDS,
)
def test_anything_that_is_measured(
    outcome, evaluate: dict[str, object], tasks: list[object], gate: dict[str, object] | None
) -> None:
    text = whole() + f"evaluate: {_yaml({'tasks': tasks} | evaluate)}\n"
    made = outcome((text + (f"gate: {_yaml(gate)}\n" if gate is not None else "")).encode("utf-8", "surrogatepass"))
    if isinstance(made, LoadedManifest):
        asked = made.manifest.evaluate
        assert asked is not None
        assert asked.tasks or asked.command
        assert all(task.expert in {None, "coder", "tool"} for task in asked.tasks)
        if not any(text != text.strip() for text in _texts([evaluate, tasks, gate])):
            assert [*_SCHEMA.iter_errors(read_document(made.text).data)] == []


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [each for item in value.values() for each in _texts(item)]
    if isinstance(value, list):
        return [each for item in value for each in _texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("seed", range(4))
def test_mutated_wrong_manifests(outcome, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - a test that can be repeated
    small = [wrong.content for wrong in WRONG if len(wrong.content) < 2000]
    for _ in range(100):
        one, other = choose.choice(small), choose.choice(small)
        cut = choose.randrange(len(one) + 1)
        outcome(one[:cut] + other[choose.randrange(len(other) + 1) :])


def _yaml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return "null" if value is None else str(value).lower()
