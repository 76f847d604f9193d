"""The documentation against the program: every command and option, every link, every method."""

import json
import re
from pathlib import Path

import click
import pytest

from ramekin import __version__
from ramekin.cli.main import cli
from ramekin.methods import METHODS, method_names
from ramekin.methods.listing import default_in_words, describe_methods, reads_in_words, show_methods

ROOT = Path(__file__).parents[1]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command}


def test_every_command_is_documented_and_exists() -> None:
    documented = set(re.findall(r"`ramekin ([a-z-]+)", COMMANDS))
    assert documented == set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_documented_and_in_the_help(name: str) -> None:
    command = commands()[name]
    help_text = command.get_help(click.Context(command, info_name=name))
    for parameter in command.params:
        for option in (o for o in parameter.opts if o.startswith("--")):
            assert option in COMMANDS, f"{name} {option} is not in docs/commands.md"
            assert option in help_text


def test_no_option_is_documented_that_does_not_exist() -> None:
    known = {option for command in commands().values() for p in command.params for option in p.opts} | {"--help", "-h"}
    for page in (ROOT / "README.md", ROOT / "docs" / "commands.md"):
        text = "\n".join(line for line in page.read_text().splitlines() if "pip " not in line)
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        assert used <= known, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)#\s]+)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    for target in targets:
        if not target.startswith(("https://", "http://", "mailto:")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_methods_page_has_every_method_with_its_formula_and_parameters() -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    for method in METHODS:
        assert f"`{method.title()}`" in page
        section = page.partition(f"\n### `{method.title()}`\n")[2].partition("\n### ")[0]
        assert method.formula in section
        assert method.reference in section
        assert reads_in_words(method) in section.lower()
        for name, field in method.fields().items():
            default = "required" if field.is_required() else f"`{default_in_words(field)}`"
            assert f"| `{name}` | {default} |" in section


def test_methods_page_says_which_method_is_for_what() -> None:
    text = (ROOT / "docs" / "methods.md").read_text().partition("## Which for what")[2].partition("\n## ")[0]
    assert {name.strip("`") for name in re.findall(r"\[(`[^`]+`)\]\(#", text)} == set(method_names())


def test_methods_are_described_for_programs_as_for_people() -> None:
    text, described = show_methods(), describe_methods()
    assert [each["name"] for each in described] == [*method_names()]
    for each in described:
        assert f"(`name: {each['name']}`)" in text
        assert each["reads"] in text
        assert json.loads(json.dumps(each)) == each
        for parameter in each["parameters"]:
            assert re.search(
                rf"^  {parameter['name']} +\S.* +{re.escape(parameter['description'])}$", text, re.MULTILINE
            )
    assert "lambda   1.0  factor" in text
    assert "weight     1/N  factor" in text
    assert "expert   required  whose" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("    ")) <= 120, "a formula that wraps"


def test_changelog_knows_the_version_or_what_is_coming() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {__version__}" in changelog or "## Unreleased" in changelog


def test_makefile_targets_that_the_docs_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z-]+)`", page.read_text())) <= targets, page
