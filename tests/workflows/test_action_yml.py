"""action.yml against the program: every input arrives, every output is set, and nothing is put into a script's text."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ramekin.action.entry import outputs
from ramekin.action.settings import INPUT, Inputs, Settings

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text("utf-8"))
INSTALL, RAMEKIN = ACTION["runs"]["steps"]
ELSEWHERE = {"hf-token", "github-token"}
"""Inputs that are no field of `Inputs`: tokens, which have places of their own."""


def variable(name: str) -> str:
    return f"{INPUT}{name.upper().replace('-', '_')}"


def test_inputs_are_those_that_the_program_reads() -> None:
    fields = {field.name.replace("_", "-") for field in dataclasses.fields(Inputs)}
    assert ACTION["inputs"].keys() == fields | ELSEWHERE | {"python"}


def test_every_input_goes_through_a_variable_of_its_name() -> None:
    given = {variable(name): f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}
    python = given.pop(variable("python"))
    assert RAMEKIN["env"] == given | {"RAMEKIN_PYTHON": "${{ steps.install.outputs.python }}"}
    # What is installed is chosen by these, and no token is among them.
    assert INSTALL["env"] == {
        variable("python"): python,
        **{variable(name): given[variable(name)] for name in ("command", "policy", "on")},
    }
    for step in (INSTALL, RAMEKIN):
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"


def test_defaults_are_the_programs_own() -> None:
    env = {
        variable(name): str(each["default"])
        for name, each in ACTION["inputs"].items()
        if name not in ELSEWHERE and "${{" not in str(each["default"])
    }
    assert Settings.read(env | {"GITHUB_REPOSITORY": "owner/name"}).inputs == Inputs()
    assert ACTION["inputs"]["hf-token"]["default"] == ""
    assert ACTION["inputs"]["github-token"]["default"] == "${{ github.token }}"


def test_outputs_are_those_that_the_program_sets() -> None:
    assert ACTION["outputs"].keys() == outputs(()).keys()
    for name, each in ACTION["outputs"].items():
        assert f"steps.ramekin.outputs.{name}" in each["value"]
        assert each["description"]
    assert "steps.install.outputs.failure-reason" in ACTION["outputs"]["failure-reason"]["value"]


@pytest.mark.parametrize("heading", ["inputs", "outputs"])
def test_the_page_has_them_all_with_their_defaults(heading: str) -> None:
    page = (ROOT / "docs" / "action.md").read_text("utf-8")
    section = page.partition(f"\n## {heading.title()}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "| `" in line]
    assert [row[0].strip("`") for row in rows] == [*ACTION[heading]]
    for name, *cells in rows if heading == "inputs" else []:
        default = str(ACTION["inputs"][name.strip("`")]["default"])
        assert cells[0] == (f"`{default}`" if default else "")
