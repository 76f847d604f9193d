"""The JSON Schema agrees with its committed copy, and with what is read."""

import json
import shutil
from pathlib import Path
from subprocess import run
from typing import Any

import jsonschema
import pytest
from test_manifest_reading import COMPLETE
from wrong_manifests import KEYS, VALUES, Wrong, least, whole

from ramekin.manifest.document import read_document
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
    *("title-lines", "title-escape", "title-surrogate", "summary-reversed", "path-control"),
    *("infinite-weight", "missing-weight", "weight-of-none", "weight-of-the-base", "weight-of-a-strange-name"),
    *("weight-of-no-character", "unique-of-none", "stock-of-one"),
    *("nan", "infinite", "too-large", "endless", "expert-name-line"),
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
        *(whole(method=least(method)) for method in METHODS),
        whole(method="method: {name: ties, density: 1, weight: {coder: 0, tool: 2.5}, lambda: 0.7}\n"),
        whole(method="method: {name: task-arithmetic, weight: -0.5}\n"),
        whole(method="method: {name: dare, weight: null, seed: 9223372036854775807, drop_rate: 0}\n"),
        whole(method="method: {name: dare, weight: {tool: 1, coder: -1}}\n"),
        whole(method="method: {name: model-stock, filter_wise: true}\n"),
    ],
)
def test_valid(validator: jsonschema.Draft202012Validator, text: str) -> None:
    data = read_document(text).data
    Manifest.model_validate(data, strict=True)
    assert [*validator.iter_errors(data)] == []


@pytest.mark.parametrize("wrong", [*KEYS, *VALUES], ids=lambda wrong: wrong.name)
def test_invalid(validator: jsonschema.Draft202012Validator, wrong: Wrong) -> None:
    try:
        document = read_document(wrong.content.decode())
    except DocumentError:
        pytest.skip("no data")
    if document.flaws or wrong.name in _BEYOND_SCHEMA:
        pytest.skip("beyond a schema")
    assert not validator.is_valid(document.data)


def _properties(node: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        return [each for item in node for each in _properties(item)]
    if not isinstance(node, dict):
        return []
    return [*node.get("properties", {}).items(), *(each for value in node.values() for each in _properties(value))]


def test_every_key_says_what_it_is_for() -> None:
    found = _properties(manifest_schema())
    names = {name for part in (Manifest, Source, Output, CardTexts, *METHODS) for name in keys_of(part)}
    assert {name for name, _ in found} >= names
    assert all(form.get("description") for name, form in found if name != "name")


def test_examples_in_the_schema_are_valid(validator: jsonschema.Draft202012Validator) -> None:
    for name, form in _properties(manifest_schema()):
        inner = validator.evolve(schema={**form, "$defs": manifest_schema()["$defs"]})
        for example in form.get("examples", []):
            assert inner.is_valid(example), (name, example)


@pytest.mark.parametrize("part", [Source, Output, CardTexts, *METHODS], ids=lambda part: part.__name__)
def test_the_reference_has_every_key_with_its_default(part: type) -> None:
    text = (DOCS / "manifest.md").read_text("utf-8")
    heading = {Source: "### Sources", Output: "### Output", CardTexts: "### Card"}.get(part, "### Methods")
    section = text.partition(heading)[2].partition("\n### ")[0]
    if heading == "### Methods":
        assert f"\n`{part.title()}`: " in section, f"docs/manifest.md lacks the method {part.title()}"
        section = section.partition(f"\n`{part.title()}`: ")[2].partition("\n\n`")[0]
    for name, info in keys_of(part).items():
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
        default = row.split("|")[3].strip()
        assert default == ("required" if name == "name" or info.is_required() else f"`{json.dumps(info.default)}`")


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
