"""Every workflow there is: ours, the examples, and what `ramekin init` writes. Linted, pinned, least rights."""

import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from ramekin import __version__
from ramekin.origin import Origin
from ramekin.starter import Choices, starter_files

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
UNKNOWN = Origin(__version__)
PINNED = Origin(__version__, "c0ffee" + "0" * 34, f"v{__version__}")
ALL = Choices(comments=True, dashboard=True, trusted_publishing=True)
STARTERS = {
    f"{name}-{path.stem}": text
    for name, (choices, origin) in {"plain": (Choices(), PINNED), "all": (ALL, UNKNOWN)}.items()
    for path, text in starter_files(choices, origin).items()
    if path.suffix == ".yml"
}
TEXTS = STARTERS | {f"{path.parent.name}-{path.stem}": path.read_text("utf-8") for path in [*EXAMPLES, *OWN]}
ACTION = YAML(typ="safe").load((ROOT / "action.yml").read_text("utf-8"))
SAME = {
    "plan": (Choices(), "plan"),
    "run": (Choices(), "run"),
    "update": (Choices(), "update"),
    "comment": (Choices(comments=True), "comment"),
    "dashboard": (Choices(dashboard=True), "update"),
    "trusted-publishing": (Choices(trusted_publishing=True), "run"),
}


def parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(text)
    return found


def jobs(text: str) -> list[dict[str, Any]]:
    return [*parsed(text)["jobs"].values()]


def steps(text: str) -> list[dict[str, Any]]:
    return [step for job in jobs(text) for step in job["steps"]]


def test_linters_find_nothing(linter: ModuleType, tmp_path: Path) -> None:
    started = [*linter.started(tmp_path)]
    assert len(started) == 3 + 3 + 4 + 4
    assert {*EXAMPLES, *OWN} == {*linter.workflows()}
    assert linter.lint([*linter.workflows(), *started]) == 0


def test_linters_would_find_something(linter: ModuleType, tmp_path: Path) -> None:
    text = STARTERS["plain-ramekin-plan"]
    mistakes = {
        "injected": text.replace("uses: actions/checkout", "run: echo ${{ github.head_ref }} # actions/checkout"),
        "unpinned": re.sub(r"@[0-9a-f]{40}", "@main", text),
        "dangerous": text.replace("\n  pull_request:\n", "\n  pull_request_target:\n"),
    }
    for name, wrong in mistakes.items():
        assert wrong != text
        path = tmp_path / f"{name}.yml"
        path.write_text(wrong)
        assert not linter.audited([path]), name
    (tmp_path / "misspelt.yml").write_text(text.replace("runs-on", "run-on"))
    assert not linter.fit("github-workflows", [tmp_path / "misspelt.yml"])


@pytest.mark.parametrize("name", TEXTS)
def test_rights_are_the_least_and_have_their_reasons(name: str) -> None:
    text = TEXTS[name]
    assert parsed(text)["permissions"] == {}
    granted = re.findall(r"^      [a-z-]+: (?:read|write)\b(.*)$", text, flags=re.MULTILINE)
    assert len(granted) == sum(len(job["permissions"]) for job in jobs(text))
    assert all(reason.startswith(" # ") for reason in granted)
    for job in jobs(text):
        assert set(job["permissions"].values()) <= {"read", "write"}
        assert job["timeout-minutes"]


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_and_checkouts_keep_no_credentials(name: str) -> None:
    uses = re.findall(r"uses: (.+)", TEXTS[name])
    assert uses
    for use in uses:
        pinned = re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)
        excused = re.fullmatch(r"(\./|ramekin-bot/ramekin@v[\d.]+) # zizmor: ignore\[[a-z-]+\] \w.+", use)
        assert pinned or excused, use
    for step in steps(TEXTS[name]):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", "")
        assert "cache" not in step.get("with", {})


def test_the_same_action_is_pinned_to_the_same_commit_everywhere() -> None:
    found = {use for text in TEXTS.values() for use in re.findall(r"uses: ((?!ramekin-bot)[^@\s]+@.+)", text)}
    names = [use.partition("@")[0] for use in found]
    assert len(names) == len(set(names))
    assert {"actions/checkout", "pypa/gh-action-pypi-publish", "ossf/scorecard-action"} <= {*names}


@pytest.mark.parametrize("name", TEXTS)
def test_every_exception_says_why(name: str) -> None:
    for reason in re.findall(r"zizmor: ignore\[[a-z-]+\](.*)", TEXTS[name]):
        assert reason.strip() == "see above" or len(reason.split()) > 4


@pytest.mark.parametrize("name", [*STARTERS, *(f"workflows-{path.stem}" for path in EXAMPLES)])
def test_what_users_copy_is_safe(name: str) -> None:
    text = TEXTS[name]
    assert not {"pull_request_target", "workflow_run"} & parsed(text)["on"].keys()
    for job in jobs(text):
        ours = [step for step in job["steps"] if step.get("uses", "").startswith("ramekin-bot/ramekin@")]
        assert len(ours) == 1
        assert set(ours[0]["with"]) <= set(ACTION["inputs"])
        has_token = "hf-token" in ours[0]["with"] or job["permissions"].get("id-token") == "write"
        # Whatever may write to the Hub is in the protected environment, one at a time, and is not cancelled by another.
        assert has_token == (job.get("environment") == "huggingface")
        if has_token:
            assert job["concurrency"]["cancel-in-progress"] is False
            assert job["permissions"]["contents"] == "read" or ours[0]["with"].get("policy") == "merge"


@pytest.mark.parametrize("name", ["plain-ramekin-plan", "workflows-plan"])
def test_a_plan_sees_no_secret(name: str) -> None:
    assert "secrets." not in TEXTS[name]
    assert parsed(TEXTS[name])["on"].keys() == {"pull_request"}
    assert [job["permissions"] for job in jobs(TEXTS[name])] == [{"contents": "read", "pull-requests": "write"}]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_examples_are_what_init_writes_where_they_say_so(path: Path) -> None:
    row = next(line for line in (path.parent / "README.md").read_text().splitlines() if f"[{path.name}]" in line)
    assert ("`ramekin init" in row) == (path.stem in SAME)
    found = path.read_text("utf-8")
    if path.stem in SAME:
        choices, name = SAME[path.stem]
        texts = {each.stem: text for each, text in starter_files(choices, UNKNOWN).items()}
        wanted = texts[f"ramekin-{name}"]
    else:
        wanted = re.sub(r"(?<=uses: )ramekin-bot/ramekin@.*", UNKNOWN.action, found)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(wanted, "utf-8")
    else:
        assert found == wanted


def test_choices_change_what_they_are_about() -> None:
    plain = {path.stem: text for path, text in starter_files(Choices(), PINNED).items()}
    assert [*plain] == ["merge", "ramekin-plan", "ramekin-run", "ramekin-update"]
    commented = {path.stem: text for path, text in starter_files(Choices(comments=True), PINNED).items()}
    assert commented.items() - plain.items() == {("ramekin-comment", commented["ramekin-comment"])}
    shown = {path.stem: text for path, text in starter_files(Choices(dashboard=True), PINNED).items()}
    assert {name for name in plain if shown[name] != plain[name]} == {"ramekin-update"}
    assert "issues: write # " in shown["ramekin-update"]
    assert "issues" not in parsed(plain["ramekin-update"])["on"]
    trusted = {path.stem: text for path, text in starter_files(Choices(trusted_publishing=True), PINNED).items()}
    assert {name for name in plain if trusted[name] != plain[name]} == {"ramekin-run"}
    assert "id-token: write # " in trusted["ramekin-run"]
    assert "secrets." not in trusted["ramekin-run"]
    assert plain["ramekin-run"].count("secrets.HF_TOKEN") == 1
    for text in (*plain.values(), *shown.values(), *trusted.values(), *commented.values()):
        assert not re.search(r"^#%|<<|>>", text, flags=re.MULTILINE)
        assert "\n\n\n" not in text


def test_workflows_pin_the_commit_where_it_is_known() -> None:
    assert f"uses: ramekin-bot/ramekin@{PINNED.commit} # v{__version__}\n" in STARTERS["plain-ramekin-plan"]
    assert f"uses: ramekin-bot/ramekin@v{__version__} # zizmor: ignore[unpinned-uses] " in STARTERS["all-ramekin-plan"]


def test_the_lines_of_the_readme_are_a_workflow(linter: ModuleType, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    block = text[text.index("# .github/workflows/ramekin.yml") :].partition("```")[0]
    (tmp_path / "ramekin.yml").write_text(block)
    assert linter.fit("github-workflows", [tmp_path / "ramekin.yml"])
    (step,) = [each for each in steps(block) if each["uses"].startswith("ramekin-bot/ramekin@")]
    assert step["uses"] == f"ramekin-bot/ramekin@v{__version__.partition('.')[0]}"
    assert set(step["with"]) <= set(ACTION["inputs"])
    # A pull request's job gets no token of the Hub.
    assert step["with"]["hf-token"] == "${{ github.event_name == 'push' && secrets.HF_TOKEN || '' }}"
