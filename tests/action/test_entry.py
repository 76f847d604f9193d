"""Which command an event asks for, and how results are told: annotations, summary, outputs, exit code."""

import contextlib
import io
import os
from pathlib import Path

import pytest
from acted_samples import HEAD, TRAPS
from hypothesis import given
from hypothesis import strategies as st
from runner_protocol import commands, outputs

from ramekin.action import entry
from ramekin.action.entry import command_of, tell
from ramekin.action.event import Event
from ramekin.action.job import Job, Result
from ramekin.action.runner import Runner
from ramekin.errors import IncompatibleError, ManifestError, Problem, SourceError, UsageError
from ramekin.terminal import Terminal

NAMES = {"changed", "key", "repo", "commit", "url", "report", "failure-reason"}


class TestCommand:
    @pytest.mark.parametrize(
        ("event", "command"),
        [
            ("pull_request", "plan"),
            ("push", "run"),
            ("workflow_dispatch", "run"),
            ("schedule", "update"),
            ("repository_dispatch", "update"),
            ("issues", "update"),
            ("issue_comment", "comment"),
        ],
    )
    def test_follows_the_event(self, event: str, command: str) -> None:
        assert command_of(None, Event(event)) == command

    def test_the_workflow_may_say_it(self) -> None:
        assert command_of("plan", Event("merge_group")) == "plan"
        assert command_of("update", Event("workflow_dispatch")) == "update"

    @pytest.mark.parametrize(
        ("command", "event"),
        [
            *((command, event) for command in (None, "plan") for event in ("pull_request_target", "workflow_run")),
            *(
                (command, event)
                for command in ("run", "update", "comment")
                for event in ("pull_request", "pull_request_review", "pull_request_review_comment")
            ),
            ("run", "issue_comment"),
            ("plan", "issue_comment"),
            ("comment", "push"),
            ("comment", "issues"),
            (None, "release"),
            (None, "::error::"),
        ],
    )
    def test_what_an_event_must_not_do(self, command: str | None, event: str) -> None:
        with pytest.raises(UsageError):
            command_of(command, Event(event))


def told(tmp_path: Path, *results: Result) -> tuple[int, str, dict[str, str], str]:
    """Exit code, what was printed, outputs and summary."""
    stream = io.StringIO()
    made = Runner(stream, tmp_path, tmp_path / "output", tmp_path / "summary")
    code = tell(made, Terminal(color=False, out=stream, err=stream), results)
    summary = tmp_path / "summary"
    return (
        code,
        stream.getvalue(),
        outputs((tmp_path / "output").read_text()),
        summary.read_text() if summary.exists() else "",
    )


def test_one_manifest(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = Result(Path("m.yaml"), "# told", True, "sha256:aa", "demo/agent", HEAD, "https://x/y", report)
    code, printed, out, summary = told(tmp_path, result)
    assert (code, printed, summary) == (0, "", "# told\n")
    assert out == {
        "changed": "true", "key": "sha256:aa", "repo": "demo/agent", "commit": HEAD, "url": "https://x/y",
        "report": str(report), "failure-reason": "",
    }  # fmt: skip


def test_several_manifests_have_a_line_each(tmp_path: Path) -> None:
    first = Result(Path("a.yaml"), key="k1", repo="demo/a")
    failed = Result(Path("b.yaml"), error=SourceError("gone", "look"))
    last = Result(Path("c.yaml"), changed=True, key="k3", repo="demo/c")
    code, _, out, _ = told(tmp_path, first, failed, last)
    assert code == 4
    assert out["key"] == "k1\n\nk3"
    assert out["repo"] == "demo/a\n\ndemo/c"
    assert (out["changed"], out["failure-reason"]) == ("true", "source")


def test_the_first_failure_decides_and_all_are_told(tmp_path: Path) -> None:
    wrong = ManifestError(problems=[Problem("one", "h", Path("a.yaml"), 3), Problem("two", "h")])
    code, printed, out, _ = told(
        tmp_path, Result(Path("a.yaml"), error=wrong), Result(Path("b.yaml"), error=IncompatibleError("three", "h"))
    )
    assert (code, out["failure-reason"], out["changed"]) == (2, "usage", "false")
    found = [(each.properties.get("file"), each.properties.get("line"), each.data) for each in commands(printed)]
    assert found == [("a.yaml", "3", "one. h"), ("a.yaml", None, "two. h"), ("b.yaml", None, "three. h")]
    assert printed.count("error: ") == 3


def test_warnings_are_on_the_manifest_and_fail_nothing(tmp_path: Path) -> None:
    results = Result(Path("a.yaml"), warnings=("x",)), Result(Path(), warnings=("y",))
    code, printed, _, _ = told(tmp_path, *results)
    assert code == 0
    found = [(each.name, each.properties.get("file"), each.data) for each in commands(printed)]
    assert found == [("warning", "a.yaml", "x"), ("warning", None, "y")]


def test_nothing_to_do_still_has_outputs(tmp_path: Path) -> None:
    assert told(tmp_path)[2] == dict.fromkeys(NAMES, "") | {"changed": "false"}


TEXTS = st.sampled_from(TRAPS) | st.text(max_size=40)


@given(TEXTS, TEXTS, TEXTS)
def test_whatever_a_result_says_commands_and_outputs_are_ours(
    tmp_path_factory: pytest.TempPathFactory, what: str, path: str, value: str
) -> None:
    place = tmp_path_factory.mktemp("told", numbered=True)
    problem = Problem(what, what, Path(path.replace("\0", "")), 1)
    result = Result(
        Path("a.yaml"), value, True, value, value, value, value, warnings=(what,), error=UsageError(problems=[problem])
    )
    _, printed, out, _ = told(place, result)
    assert out.keys() == NAMES
    assert {each.name for each in commands(printed)} == {"warning", "error"}
    assert len(commands(printed)) == 2


class TestStep:
    """The whole step, with what carries it out replaced."""

    @pytest.fixture
    def env(self, tmp_path: Path) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "schedule",
            "GITHUB_REPOSITORY": "acme/agents",
            "GITHUB_WORKSPACE": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "HF_HOME": str(tmp_path / "home"),
            "RAMEKIN_INPUT_HF_TOKEN": "hf_" + "q" * 34,
            "RAMEKIN_INPUT_GITHUB_TOKEN": "ghs_" + "w" * 36,
        }

    def step(self, env: dict[str, str]) -> tuple[int, str]:
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            code = entry.step(env, Terminal(color=False, out=stream, err=stream))
        return code, stream.getvalue()

    def test_masks_tokens_first_and_takes_them_away(self, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Job] = []
        monkeypatch.setattr(entry, "carry_out", lambda job: seen.append(job) or ())
        code, printed = self.step(env)
        assert code == 0
        assert {each.data for each in commands(printed)} == {"hf_" + "q" * 34, "ghs_" + "w" * 36}
        assert not [name for name, value in env.items() if "qqqq" in value or "wwww" in value]
        (job,) = seen
        assert job.bench.environment.token
        assert job.bench.environment.token.reveal() == "hf_" + "q" * 34
        assert job.settings.github_token
        assert "qqq" not in repr(job)

    def test_an_error_of_anybody_is_told_without_tokens(
        self, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def fail(_: Job) -> tuple[Result, ...]:
            raise ValueError("GitHub said ghs_" + "w" * 36 + " and\n::set-output name=changed::true")

        monkeypatch.setattr(entry, "carry_out", fail)
        code, printed = self.step(env)
        assert code == 70
        shown = [line for line in printed.splitlines() if not line.startswith("::add-mask::")]
        assert shown
        assert "wwww" not in "\n".join(shown)
        assert {each.name for each in commands(printed)} == {"add-mask", "error"}
        assert outputs((tmp_path / "output").read_text())["failure-reason"] == "internal"

    def test_inputs_that_mean_nothing_are_told(self, env: dict[str, str], tmp_path: Path) -> None:
        env["RAMEKIN_INPUT_MANIFEST"] = "--upload-pack=x"
        code, printed = self.step(env)
        assert code == 2
        assert "the input `manifest` is `--upload-pack=x`" in printed
        assert outputs((tmp_path / "output").read_text())["failure-reason"] == "usage"
        assert "RAMEKIN_INPUT_HF_TOKEN" not in env

    @pytest.mark.parametrize("event", ["pull_request_target", "workflow_run"])
    def test_events_with_rights_that_are_not_theirs_are_refused(self, env: dict[str, str], event: str) -> None:
        code, printed = self.step(env | {"GITHUB_EVENT_NAME": event})
        assert code == 2
        assert "must not have" in printed


def test_main_reads_the_real_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "RAMEKIN_INPUT_"))]:
        monkeypatch.delenv(name)
    assert entry.main() == 2
    assert "start this as a step of GitHub Actions" in capsys.readouterr().out
