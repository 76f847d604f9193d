"""Comments that ask for something, on an embedded Hub and a loopback GitHub: who is obeyed, and in what."""

from datetime import timedelta
from pathlib import Path

import pytest
from acted_samples import PLAN as PLANNED
from huggingface_hub import HfApi
from live_steps import Live, Step
from test_planning_live import comments, marker, notices
from tests.github import events
from tests.github.events import Event
from tests.github.state import BOT, Comment
from tests.integration.conftest import family_files, push

from ramekin.action.approved import Approved
from ramekin.action.commands import command_in
from ramekin.action.sticky import Marker

PLAN = "/ramekin plan"
RUN = "/ramekin run --pr"


def say(stage: Live, opened: Event, body: str, by: str = "mona", role: str = "write") -> tuple[Comment, Event]:
    """A comment on a pull request, some seconds later, and its event."""
    stage.world.clock.move(seconds=5)
    stage.world.person(by)
    stage.world.repository(stage.name).roles[by] = role
    issue = stage.world.repository(stage.name).issues[opened.payload["number"]]
    comment = stage.world.comment(stage.name, issue.number, body, by=by)
    return comment, events.issue_comment(stage.world, stage.name, issue, comment)


def reactions(comment: Comment) -> list[str]:
    return [content for _, content in comment.reactions]


def ours(stage: Live, opened: Event) -> Comment:
    (found,) = stage.world.comments(stage.name, opened.payload["number"], by=BOT)
    return found


def drafts(stage: Live) -> int:
    """Pull requests on the Hub."""
    return sum("POST" in each and "/discussions" in each for each in stage.writes())


def nothing_happened(stage: Live, step: Step) -> bool:
    said = step.outputs["changed"], step.outputs["key"], step.summary
    return step.code == 0 and said == ("false", "", "") and stage.writes() == []


@pytest.fixture
def opened(stage: Live) -> Event:
    """A pull request that is planned."""
    made = stage.propose({"merge.yaml": stage.manifest()})
    stage.ok(made)
    return made


@pytest.fixture
def posed(stage: Live) -> Event:
    """The same without the work: with a comment of ours as a plan leaves it."""
    made = stage.propose({"merge.yaml": stage.manifest()})
    head = str(stage.world.head(stage.name, "topic"))
    body = Marker("merge.yaml", head, "planned", Approved.of(PLANNED, head)).to_mark() + "Planned"
    stage.world.comment(stage.name, made.payload["number"], body, by=BOT)
    return made


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (PLAN, PLAN),
        (f"{RUN}  \r\nthanks", RUN),
        (f" {PLAN}", None),
        (f"\n{PLAN}", None),
        (f"> {PLAN}", None),
        ("/ramekin run", None),
        ("/ramekin run --pr --force", None),
        ("/ramekin  plan", None),
        (f"{PLAN};", None),
        ("/Ramekin plan", None),
        ("", None),
        ("\u200b" + PLAN, None),
        (PLAN + "\u2028x", PLAN),
    ],
)
def test_only_two_first_lines_are_commands(body: str, command: str | None) -> None:
    assert command_in(body) == command


class TestPlan:
    def test_plans_the_head_again(self, stage: Live, opened: Event) -> None:
        before = ours(stage, opened).body
        push(stage.hub, "demo/coder", family_files("coder", seed=11))
        try:
            comment, event = say(stage, opened, PLAN)
            step = stage.ok(event)
        finally:
            push(stage.hub, "demo/coder", family_files("coder"))
        assert reactions(comment) == ["eyes", "rocket"]
        assert ours(stage, opened).body != before
        assert step.outputs["key"] in ours(stage, opened).body
        assert marker(stage, opened, ours(stage, opened)).head == stage.world.head(stage.name, "topic")

    def test_of_a_fork_is_planned_without_any_token(self, stage: Live) -> None:
        push(stage.hub, "hidden", family_files("coder"), private=True)
        fork = stage.world.fork(stage.name, "eve").name
        stage.world.push(fork, {"merge.yaml": stage.manifest(coder="demo/hidden")}, branch="topic")
        issue = stage.world.open_pull(stage.name, "topic", by="eve", source=fork)
        opened = events.pull_request(stage.world, stage.name, issue)
        comment, event = say(stage, opened, PLAN)
        step = stage.step(event)
        assert step.code == 4
        assert "Cannot be planned" in ours(stage, opened).body
        assert reactions(comment) == ["eyes", "confused"]
        # One's own is planned with it.
        mine = stage.propose({"merge.yaml": stage.manifest(coder="demo/hidden")}, "mine")
        stage.ok(say(stage, mine, PLAN)[1])
        assert "**Planned" in ours(stage, mine).body


class TestRun:
    def test_opens_one_pull_request_on_the_hub(self, stage: Live, opened: Event) -> None:
        comment, event = say(stage, opened, RUN)
        stage.world.clock.move(seconds=5)  # a job takes some seconds to start
        step = stage.ok(event)
        body = ours(stage, opened).body
        assert "Ready as a pull request on the Hub" in body
        assert reactions(comment) == ["eyes", "rocket"]
        assert (step.outputs["changed"], step.outputs["repo"]) == ("true", stage.target)
        assert "/discussions/" in step.outputs["url"]
        assert stage.commits() == []
        count = drafts(stage)
        assert count
        # The same event again, and the plan's once more: nothing is done, and the comment stays.
        again = stage.ok(event)
        assert "it was begun already" in notices(again)
        stage.ok(opened)
        assert ours(stage, opened).body == body
        assert drafts(stage) == count

    def test_neither_programs_nor_templates_of_a_pull_request_run(self, stage: Live, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        more = f"evaluate:\n  command: [sh, -c, 'touch {ran}; exit 1']\ncard:\n  template: own.md.jinja\n"
        files = {"merge.yaml": stage.manifest(more=more), "own.md.jinja": "{{ 7 * 6 }} OWN TEMPLATE\n"}
        opened = stage.propose(files)
        stage.ok(opened)
        step = stage.ok(say(stage, opened, RUN)[1])
        assert step.outputs["changed"] == "true"
        assert not ran.exists()
        api = HfApi(stage.hub.url, stage.hub.token)
        card = api.hf_hub_download(stage.target, "README.md", revision="refs/pr/1", local_dir=tmp_path / "card")
        assert "OWN TEMPLATE" not in Path(card).read_text()

    @pytest.mark.parametrize("late", [False, True], ids=["another-head", "planned-since"])
    def test_a_head_that_has_moved_is_not_run(self, stage: Live, opened: Event, *, late: bool) -> None:
        comment, event = say(stage, opened, RUN)
        stage.world.clock.move(seconds=5)
        stage.world.push(stage.name, {"merge.yaml": stage.manifest("ties")}, branch="topic")
        issue = stage.world.repository(stage.name).issues[opened.payload["number"]]
        if late:  # the newer head is planned before the comment is obeyed
            stage.ok(events.pull_request(stage.world, stage.name, issue, "synchronize"))
        step = stage.step(event)
        assert (step.code, step.outputs["failure-reason"], step.outputs["changed"]) == (2, "usage", "false")
        assert stage.writes() == []
        body = ours(stage, opened).body
        assert "> [!WARNING]\n> `/ramekin run --pr` was not done: the plan " in body
        assert ("has changed since the comment was written" if late else "was of commit") in body
        assert "by `ties`" in body
        assert reactions(comment) == ["eyes", "confused"]
        if late:  # whoever has seen the new plan may ask again
            stage.ok(say(stage, opened, RUN)[1])
            assert "Ready as a pull request" in ours(stage, opened).body

    def test_a_plan_of_the_very_second_has_been_read_by_nobody(self, stage: Live, opened: Event) -> None:
        comment, event = say(stage, opened, RUN)
        ours(stage, opened).updated = comment.created
        step = stage.step(event)
        assert (step.code, stage.writes()) == (2, [])
        assert "the plan has changed since the comment was written" in step.printed

    def test_a_source_that_has_moved_is_not_run(self, stage: Live, opened: Event) -> None:
        event = say(stage, opened, RUN)[1]
        push(stage.hub, "demo/tool", family_files("tool", seed=12))
        try:
            step = stage.step(event)
        finally:
            push(stage.hub, "demo/tool", family_files("tool"))
        assert (step.code, step.outputs["failure-reason"]) == (3, "lock")
        assert "plan-changed: " in step.printed
        assert stage.writes() == []
        assert marker(stage, opened, ours(stage, opened)).state == "changed"
        assert "| `tool` | demo/tool, " in ours(stage, opened).body

    def test_a_plan_that_a_stranger_has_written_is_none(self, stage: Live) -> None:
        planned = stage.propose({"merge.yaml": stage.manifest()}, "other")
        stage.ok(planned)
        opened = stage.propose({"merge.yaml": stage.manifest("ties")})
        head = stage.world.head(stage.name, "topic")
        real = marker(stage, planned, ours(stage, planned))
        assert real.approved
        forged = Marker("merge.yaml", str(head), "planned", real.approved).to_mark() + "Planned"
        stage.world.comment(stage.name, opened.payload["number"], forged, by="eve")
        step = stage.step(say(stage, opened, RUN)[1])
        assert step.code == 2
        assert "there was no plan to look at" in ours(stage, opened).body
        assert stage.writes() == []


class TestWhoIsNotObeyed:
    @pytest.mark.parametrize("role", ["none", "read", "triage"])
    def test_strangers(self, stage: Live, posed: Event, role: str) -> None:
        comment, event = say(stage, posed, RUN, by="eve", role=role)
        before = ours(stage, posed).body
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == ["-1"]
        assert ours(stage, posed).body == before

    def test_who_has_lost_access_since(self, stage: Live, posed: Event) -> None:
        comment, event = say(stage, posed, RUN)
        stage.world.repository(stage.name).roles["mona"] = "read"
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == ["-1"]

    def test_a_comment_that_was_edited(self, stage: Live, posed: Event) -> None:
        comment, created = say(stage, posed, "Looks good")
        stage.world.clock.move(seconds=5)
        stage.world.edit_comment(stage.name, comment.id, RUN)
        issue = stage.world.repository(stage.name).issues[posed.payload["number"]]
        edited = events.issue_comment(stage.world, stage.name, issue, comment, "edited", was="Looks good")
        # As it says now, under the name of its creation.
        pretended = events.issue_comment(stage.world, stage.name, issue, comment)
        for event in (created, edited, pretended):
            assert nothing_happened(stage, stage.step(event))
        comment.updated = comment.created  # within one second
        assert nothing_happened(stage, stage.step(edited))
        assert reactions(comment) == []

    def test_a_command_that_is_taken_back(self, stage: Live, posed: Event) -> None:
        comment, event = say(stage, posed, RUN)
        stage.world.edit_comment(stage.name, comment.id, "Never mind")
        comment.updated = comment.created
        assert nothing_happened(stage, stage.step(event))
        gone, event = say(stage, posed, RUN)
        stage.world.delete_comment(stage.name, gone.id)
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == reactions(gone) == []

    def test_a_comment_of_somebody_else_than_the_event_says(self, stage: Live, posed: Event) -> None:
        comment, event = say(stage, posed, RUN, by="eve", role="read")
        stage.world.person("ana2")
        event.payload["comment"]["user"]["login"] = "mona"
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == []

    def test_other_comments_and_other_places_are_not_even_looked_at(self, stage: Live, posed: Event) -> None:
        issue = stage.world.open_issue(stage.name, "An issue")
        on_issue = stage.world.comment(stage.name, issue.number, PLAN)
        chat = say(stage, posed, f"Please say {PLAN}")[1]
        stage.github.requests.clear()
        for event in (chat, events.issue_comment(stage.world, stage.name, issue, on_issue)):
            assert nothing_happened(stage, stage.step(event))
        assert stage.github.requests == []

    def test_a_pull_request_that_is_closed(self, stage: Live, posed: Event) -> None:
        comment, event = say(stage, posed, RUN)
        stage.world.close(stage.name, posed.payload["number"])
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == ["confused"]

    def test_our_own_words(self, stage: Live, posed: Event) -> None:
        comment, event = say(stage, posed, RUN, by=BOT, role="none")
        assert nothing_happened(stage, stage.step(event))
        assert reactions(comment) == ["-1"]
        assert len(comments(stage, posed)) == 2


def test_the_clock_of_these_tests_moves(stage: Live, posed: Event) -> None:
    comment, _ = say(stage, posed, PLAN)
    assert comment.created - ours(stage, posed).updated >= timedelta(seconds=4)
