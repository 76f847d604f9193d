"""The JSON Schema agrees with its committed copy, and with what is read."""

import json
import shutil
from pathlib import Path
from subprocess import run
from typing import Any

import jsonschema
import pytest
from test_manifest_reading import COMPLETE
from wrong_manifests import BENCHMARKS, CHOICES, KEYS, MEASURED, PARTS, VALUES, Wrong, arm, least, measured, tau, whole

from ramekin.arm.roles.parsers import PARSERS
from ramekin.manifest.benchmarks import Benchmark, Role
from ramekin.manifest.document import read_document
from ramekin.manifest.evaluation import Evaluation, Gate, Task, TaskResults
from ramekin.manifest.model import CardTexts, Manifest, Output, Source
from ramekin.manifest.nodes import DocumentError
from ramekin.manifest.places import keys_of
from ramekin.manifest.schema import SCHEMA_ID, manifest_schema, schema_text
from ramekin.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

# What only the reader knows: what is written rather than what it means, and what one value says about another.
_BEYOND_SCHEMA = {
    *("version-float", "same-expert", "same-path", "base-expert", "output-source", "part-of-byte", "huge-size"),
    "supersedes-itself",
    *("title-lines", "title-escape", "title-surrogate", "summary-reversed", "path-control"),
    *("infinite-weight", "missing-weight", "weight-of-none", "weight-of-the-base", "weight-of-a-strange-name"),
    *("weight-of-no-character", "unique-of-none", "stock-of-one"),
    *("nan", "infinite", "too-large", "endless", "expert-name-line"),
    *("arm-of-one", "benchmark-name-line", "donor", "donor-of-a-base"),
    *("regex", "regex-escape", "regex-overflow", "variable-without-end", "score-nan"),
    *("score-of-none", "score-of-both", "scores-of-hundreds", "scores-without-scores", "scores-without-any"),
    *("repair-of-none", "repair-of-none-in-lines", "pool-twice", "pool-twice-with-a-default"),
    *("pool-weight-of-none", "pool-missing-weight", "pool-unique-of-none"),
    *("task-twice", "task-lines", "task-metric-lines", "task-expert", "task-benchmark", "task-benchmark-without"),
    *("task-benchmark-twice", "task-of-two", "command-blank", "command-null-byte", "command-of-the-harness"),
    *("command-task-of-the-harness", "include-lines", "gate-nan", "gate-of-no-task", "gate-of-no-expert"),
    *("gate-of-no-base",),
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_copy_is_current() -> None:
    committed = (DOCS / "manifest.schema.json").read_text("utf-8")
    assert committed == schema_text(), "write it again: ramekin schema > docs/manifest.schema.json"
    assert json.loads(committed)["$id"] == SCHEMA_ID


@pytest.mark.parametrize(
    "text",
    [
        COMPLETE,
        whole(),
        whole(base="base: org/base@feature--x\n"),
        whole(base="base: ./directory\n"),
        whole(base="base: {path: a/b}\n"),
        whole(base="base: {repo: org/base, revision: null}\n"),
        whole(card="card: {language: en, license: mit}\n"),
        whole(card="card: {}\n"),
        whole(output="output: {repo: me/x, shard_size: 0.5GiB, dtype: null, private: false}\n"),
        whole(output="output: {repo: me/x, shard_size: 1000000}\n"),
        whole(output="output: {repo: me/x, collection: Merged agents, supersedes: me/older}\n"),
        whole(output=f"output: {{repo: me/x, collection: org/merged-{'0' * 24}, supersedes: null}}\n"),
        *(whole(method=least(method)) for method in METHODS),
        whole(method="method: {name: ties, density: 1, weight: {coder: 0, tool: 2.5}, lambda: 0.7}\n"),
        whole(method="method: {name: task-arithmetic, weight: -0.5}\n"),
        whole(method="method: {name: dare, weight: null, seed: 9223372036854775807, drop_rate: 0}\n"),
        whole(method="method: {name: dare, weight: {tool: 1, coder: -1}}\n"),
        whole(method="method: {name: model-stock, filter_wise: true}\n"),
        whole(card="card: {samples: true}\n"),
        whole(card="card: {samples: null}\n"),
        whole() + BENCHMARKS,
        whole() + "benchmarks: {}\n",
        arm("pool: [ties, {name: ties, density: 0.3}, {name: ram-unique, expert: tool}, dare-ties]"),
        arm("pool: [{name: ties, weight: {coder: 1, tool: 2}, lambda: 0.5}]"),
        arm("pool: [" + ", ".join(f"{{name: ties, density: 0.{n}}}" for n in range(101, 165)) + "]"),
        arm("select: likelihood"),
        arm("select: [likelihood]"),
        arm("select: [scores, aos, likelihood]", tau(evaluate="exact")),
        arm("select: scores", tau(scores="{}", evaluate="json", max_new_tokens="1")),
        *(arm(f"repair: {repair}") for repair in ("auto", "all", "none", "[tau]")),
        arm("top_k: 1"),
        arm("protect: false"),
        *(arm(f"collisions: {who}") for who in ("first", "last", "skip")),
        *(arm(f"trace_dtype: {dtype}") for dtype in ("base", "bfloat16", "float16", "float32")),
        *(arm(f"saliency: {each}") for each in ("abs", "abs_wout", "contrast")),
        *(arm(f"shift: {each}").replace("arm", "best-of") for each in ("0", "-1")),
        *(arm(benchmarks=tau(role=role)) for role in PARSERS),
        *(arm(benchmarks=tau(role=f"{{name: {role}}}")) for role in PARSERS),
        *(arm(benchmarks=tau(role=f"{{json: {which}, name: null}}")) for which in ("first", "last", "all")),
        arm(benchmarks=tau(role=r"{regex: ' <a>(?P<span>.*?)</a>\n', json: null, name: null}")),
        arm(benchmarks=tau(role="{name: officebench, keep_tags: true}")),
        arm(benchmarks=tau(role="{name: webshop, keep_tags: false}")),
        arm(benchmarks=tau(role="{json: last, keep_tags: false}")),
        arm(benchmarks=tau(calibration="hf://datasets/org/name/x.jsonl")),
        arm(benchmarks=tau(calibration="hf://datasets/org/name@v1.0/a/b--c..d.jsonl")),
        arm(benchmarks=tau(calibration="hf://datasets/org/name/b--c..d@e.jsonl", dev="x")),
        arm(benchmarks=tau(calibration="hf://datasets/org/name@refs%2Fpr%2F1/ü ä.jsonl", dev="../x/..y.jsonl")),
        arm(benchmarks=tau(dev="null", scores="{tool: -1, average: 0}", evaluate="null", chat_template="null")),
        arm(benchmarks=tau(chat_template="./template.jinja", template_kwargs="{a: {b: [1, null, x]}}")),
        arm(benchmarks=tau(assistant_prefix='" "', assistant_suffix='"\\n"')),
        arm(benchmarks=tau(assistant_prefix="null", assistant_suffix="null")),
        arm(benchmarks=tau(assistant_prefix="null")),
        measured(),
        measured("{tasks: [{name: a, metric: 'b,c', fewshot: 0, limit: 1, expert: coder, benchmark: null}], seed: 3}"),
        measured("{tasks: [{name: a, results: {dataset: openai/gsm8k, task: gsm8k}}], include: ./x, reads: y}"),
        measured("{tasks: [{name: a, benchmark: tau, expert: tool}], models: []}", more=BENCHMARKS),
        measured("{tasks: [{name: a, results: null}], models: backbone, max_new_tokens: null, include: null}"),
        measured("{command: [python, score.py, ' x ', '']}", "{least: {anything: -1, '': 0}}"),
        measured("{command: [a], tasks: [b, {name: c, expert: tool}], reads: [d, e], timeout: 1}", "{of_expert: 0.5}"),
        measured(
            "{command: null, tasks: [a], apply_chat_template: true, batch_size: 1}", "{of_base: 1, least: {a: 1}}"
        ),
        measured(gate="{of_expert: null, of_base: 0.01}"),
        arm(benchmarks=tau(turns="last", demonstrations="1", tokens="within", max_tokens="100", weight="task")),
    ],
)
def test_valid(validator: jsonschema.Draft202012Validator, text: str) -> None:
    data = read_document(text).data
    Manifest.model_validate(data, strict=True)
    assert [*validator.iter_errors(data)] == []


@pytest.mark.parametrize("wrong", [*KEYS, *VALUES, *CHOICES, *MEASURED], ids=lambda wrong: wrong.name)
def test_invalid(validator: jsonschema.Draft202012Validator, wrong: Wrong) -> None:
    try:
        document = read_document(wrong.content.decode())
    except DocumentError:
        pytest.skip("no data")
    if document.flaws or wrong.name in _BEYOND_SCHEMA:
        pytest.skip("beyond a schema")
    assert not validator.is_valid(document.data)


_CONDITIONS = ("if", "then", "oneOf")


def _properties(node: Any) -> list[tuple[str, dict[str, Any]]]:
    """All keys with their descriptions; conditions, which only say what goes together, have none."""
    if isinstance(node, list):
        return [each for item in node for each in _properties(item)]
    if not isinstance(node, dict):
        return []
    below = (value for key, value in node.items() if key not in _CONDITIONS)
    return [*node.get("properties", {}).items(), *(each for value in below for each in _properties(value))]


_PARTS = (Manifest, Source, Output, CardTexts, Benchmark, Role, Evaluation, Task, TaskResults, Gate)
_HEADINGS = {
    Source: "### Sources",
    Output: "### Output",
    CardTexts: "### Card",
    Benchmark: "### Benchmarks",
    Role: "### Roles",
    Evaluation: "### Evaluation",
    Task: "### Tasks",
    TaskResults: "### Results",
    Gate: "### Gate",
}


def test_every_key_says_what_it_is_for() -> None:
    found = _properties(manifest_schema())
    names = {name for part in (*_PARTS, *METHODS) for name in keys_of(part)}
    assert {name for name, _ in found} >= names
    assert all(form.get("description") for name, form in found if name != "name")


def test_examples_in_the_schema_are_valid(validator: jsonschema.Draft202012Validator) -> None:
    for name, form in _properties(manifest_schema()):
        inner = validator.evolve(schema={**form, "$defs": manifest_schema()["$defs"]})
        for example in form.get("examples", []):
            assert inner.is_valid(example), (name, example)


@pytest.mark.parametrize("part", [*_HEADINGS, *METHODS], ids=lambda part: part.__name__)
def test_the_reference_has_every_key_with_its_default(part: type) -> None:
    text = (DOCS / "manifest.md").read_text("utf-8")
    heading = _HEADINGS.get(part, "### Methods")
    section = text.partition(heading)[2].partition("\n### ")[0]
    if heading == "### Methods":
        assert f"\n`{part.title()}`: " in section, f"docs/manifest.md lacks the method {part.title()}"
        section = section.partition(f"\n`{part.title()}`: ")[2].partition("\n\n`")[0]
    for name, info in keys_of(part).items():
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
        default = row.split("|")[3].strip()
        required = info.is_required() or (name == "name" and part is not Role)
        assert default == ("required" if required else f"`{json.dumps(info.default)}`")


def test_the_reference_has_every_key_of_the_top() -> None:
    section = (DOCS / "manifest.md").read_text("utf-8").partition("## Keys")[2].partition("\n### ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == [*Manifest.model_fields]


def test_the_example_of_the_reference_is_a_manifest() -> None:
    example = (DOCS / "manifest.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert Manifest.model_validate(read_document(example).data, strict=True)
    assert SCHEMA_ID in example


def test_editors_check_the_schema_as_we_do(tmp_path: Path) -> None:
    command = shutil.which("check-jsonschema")
    if command is None:
        pytest.skip("check-jsonschema is not installed")
    (tmp_path / "right.yaml").write_text(COMPLETE)
    (tmp_path / "wrong.yaml").write_text(whole(base="base: gpt2\n"))
    schema = str(DOCS / "manifest.schema.json")
    assert run([command, "--schemafile", schema, str(tmp_path / "right.yaml")], check=False).returncode == 0
    assert run([command, "--schemafile", schema, str(tmp_path / "wrong.yaml")], check=False).returncode == 1


def test_the_reference_has_every_role() -> None:
    section = (DOCS / "manifest.md").read_text("utf-8").partition("### Roles")[2].partition("\n### ")[0]
    assert all(f"| `{role}` |" in section for role in PARSERS)


def test_the_example_of_benchmarks_in_the_reference_is_valid(validator: jsonschema.Draft202012Validator) -> None:
    section = (DOCS / "manifest.md").read_text("utf-8").partition("### Benchmarks")[2].partition("\n### ")[0]
    example = section.partition("```yaml\n")[2].partition("```")[0]
    parts = {name: text for name, text in PARTS.items() if name not in {"method", "benchmarks"}}
    data = read_document("".join(parts.values()) + example).data
    made = Manifest.model_validate(data, strict=True)
    assert made.method.uses_benchmarks
    assert [*made.benchmarks]
    assert [*validator.iter_errors(data)] == []
