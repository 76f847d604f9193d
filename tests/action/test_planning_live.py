"""`plan` as a step of a workflow, on an embedded Hub and a loopback GitHub: the comment, and whom it trusts."""

import json
import re
import subprocess
import sys
from pathlib import Path

from acted_samples import TRAPS
from live_steps import Live, Step
from markdown_it import MarkdownIt
from tests.github import events
from tests.github.events import Event
from tests.github.state import BOT, Comment
from tests.integration.conftest import family_files, push

from ramekin.action.marking import marks
from ramekin.action.sticky import Marker
from ramekin.hub.faults import Fault

HEAVY = {"torch", "numpy", "numba", "transformers", "safetensors"}
WITNESS = """
import json, sys
from ramekin.action.entry import main
code = main()
with open(sys.argv[1], "w") as file:
    json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
sys.exit(code)
"""


def comments(stage: Live, opened: Event) -> list[Comment]:
    return stage.world.comments(stage.name, opened.payload["number"])


def marker(stage: Live, opened: Event, comment: Comment | None = None) -> Marker:
    """What the comment remembers; the only one on the pull request, if none is given."""
    (data,) = marks("plan", (comment or stage.comment(opened)).body)
    found = Marker.read(data)
    assert found
    return found


def writes(stage: Live) -> list[str]:
    """Requests to GitHub that were to change something in this test's repository."""
    return [
        f"{each.method} {each.path.removeprefix(f'/repos/{stage.name}')}"
        for each in stage.github.requests
        if each.method != "GET" and stage.name in each.path
    ]


def notices(step: Step) -> str:
    return "\n".join(text for _, _, text in step.annotations("notice"))


def test_the_plan_is_on_the_pull_request(stage: Live) -> None:
    opened = stage.propose({"merge.yaml": stage.manifest()})
    step = stage.ok(opened)
    body, head = stage.comment(opened).body, stage.world.head(stage.name, "topic")
    assert (
        body.splitlines()[1]
        == f"### ramekin: [`merge.yaml`](https://github.com/{stage.name}/blob/{head}/merge.yaml) → {stage.target}"
    )
    assert "**Planned: publish the merge** when this pull request is merged. Nothing is published yet." in body
    assert "to a private repository · 3 experts by `ram+`" in body
    assert "| `coder` | demo/coder |" in body
    assert "No lock that fits is committed" in body
    assert f"/{stage.name}/commit/{head}" in body
    found = marker(stage, opened)
    assert (found.manifest, found.head, found.state, found.run) == ("merge.yaml", head, "planned", "")
    assert found.approved
    assert found.approved.key == step.outputs["key"]
    assert not found.approved.saw_target
    assert f"plan <code>{found.approved.hash}</code>" in body
    # The same in the summary, and in words in the log.
    assert body.split("\n", 1)[1].strip() == step.summary.strip()
    assert "::group::plan merge.yaml" in step.printed
    assert "ramekin plan: merge.yaml" in step.printed
    assert (step.outputs["changed"], step.outputs["repo"]) == ("false", stage.target)
    assert step.outputs["commit"] == step.outputs["report"] == step.outputs["failure-reason"] == ""
    assert step.outputs["url"].endswith(f"#issuecomment-{stage.comment(opened).id}")
    assert stage.writes() == []


def test_events_twice_and_in_the_wrong_order_leave_one_comment_with_the_newest_plan(stage: Live) -> None:
    first = stage.propose({"merge.yaml": stage.manifest()})
    stage.world.push(stage.name, {"merge.yaml": stage.manifest("ties")}, branch="topic")
    issue = stage.world.repository(stage.name).issues[first.payload["number"]]
    second = events.pull_request(stage.world, stage.name, issue, "synchronize")
    stage.ok(second)
    body = stage.comment(first).body
    assert "by `ties`" in body
    late = stage.ok(first)
    assert "has moved on" in notices(late)
    assert "by `ram+`" in late.summary
    stage.ok(second)
    assert stage.comment(first).body == body
    assert writes(stage) == [f"POST /issues/{issue.number}/comments"]
    # Closed meanwhile: nothing is said any more.
    stage.world.push(stage.name, {"merge.yaml": stage.manifest("average")}, branch="topic")
    third = events.pull_request(stage.world, stage.name, issue, "synchronize")
    stage.world.close(stage.name, issue.number)
    assert "has moved on" in notices(stage.ok(third))
    assert stage.comment(first).body == body


def test_ours_is_known_by_its_author_and_the_oldest_stays(stage: Live) -> None:
    opened = stage.propose({"merge.yaml": stage.manifest()})
    number, head = opened.payload["number"], stage.world.head(stage.name, "topic")
    forged = Marker("merge.yaml", str(head), "published").to_mark() + "All is well."
    theirs = stage.world.comment(stage.name, number, forged, by="eve")
    quoted = stage.world.comment(stage.name, number, "I quote:\n" + forged, by=BOT)
    other = stage.world.comment(stage.name, number, Marker("b.yaml", "", "published").to_mark(), by=BOT)
    old, new = (stage.world.comment(stage.name, number, forged + str(n), by=BOT) for n in range(2))
    stage.ok(opened)
    assert [each.id for each in comments(stage, opened)] == [theirs.id, quoted.id, other.id, old.id]
    assert new.id not in [each.id for each in comments(stage, opened)]
    assert "**Planned" in old.body
    assert (theirs.body, quoted.body.partition("\n")[2]) == (forged, forged)


def test_a_fork_is_planned_in_the_summary(stage: Live) -> None:
    fork = stage.world.fork(stage.name, "eve").name
    stage.world.push(
        fork, {"merge.yaml": stage.manifest(), "b.yaml": stage.manifest(base="../../../etc")}, branch="topic"
    )
    opened = events.pull_request(
        stage.world, stage.name, stage.world.open_pull(stage.name, "topic", by="eve", source=fork)
    )
    token = stage.world.job_token(stage.name, contents="read", pull_requests="read")
    step = stage.ok(opened, github_token=token)
    assert "this pull request is of a fork" in notices(step)
    assert "**Planned: publish the merge**" in step.summary
    assert step.annotations("warning") == []
    assert comments(stage, opened) == []


def test_a_stranger_sees_nothing_of_the_machine(stage: Live, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text('{"hidden_size": "PRIVATE"}')
    more = "card:\n  template: card.jinja\n"
    text = stage.manifest(more=more, coder=str(tmp_path / "secret"), tool="./.git", memory="./linked")
    fork = stage.world.fork(stage.name, "eve").name
    stage.world.push(fork, {"merge.yaml": text.replace("demo/base", "./mine")}, branch="topic")
    issue = stage.world.open_pull(stage.name, "topic", by="eve", source=fork)
    step = stage.step(events.pull_request(stage.world, stage.name, issue), token=stage.hub.token)
    assert step.code == 2
    lines = dict(enumerate(text.splitlines(), 1))
    found = {lines[int(line)].split(":")[0].strip() for _, line, _ in step.annotations("error")}
    assert found == {"coder", "tool"}
    assert "PRIVATE" not in step.printed + step.summary
    # Nor of what the job's token may see, should it have one.
    push(stage.hub, "closed", family_files("coder"), private=True)
    stage.world.push(fork, {"merge.yaml": stage.manifest(coder="demo/closed")}, branch="topic")
    opened = events.pull_request(stage.world, stage.name, issue, "synchronize")
    assert stage.step(opened, token=stage.hub.token).code == 4
    # Nor by a login that the machine has stored.
    home = stage.directory / "home"
    home.mkdir(parents=True, exist_ok=True)
    (home / "token").write_text(stage.hub.token)
    stage.hub.log.clear()
    assert stage.step(opened, token=None).code == 4
    asked = stage.hub.log.requests()
    assert asked
    assert {each.user for each in asked} == {None}


def test_what_cannot_be_merged_fails_on_its_line(stage: Live) -> None:
    push(stage.hub, "odd", {**family_files("coder"), "config.json": b'{"model_type": "llama", "num_hidden_layers": 9}'})
    opened = stage.propose({"merge.yaml": stage.manifest(coder="demo/odd", tool="demo/absent")})
    step = stage.step(opened)
    assert (step.code, step.outputs["failure-reason"]) == (4, "source")
    assert [(file, line) for file, line, _ in step.annotations("error")] == [("merge.yaml", "5")]
    body, head = stage.comment(opened).body, stage.world.head(stage.name, "topic")
    assert "❌ **Cannot be planned:** 1 problem." in body
    assert f"[`merge.yaml:5`](https://github.com/{stage.name}/blob/{head}/merge.yaml#L5): demo/absent" in body
    assert marker(stage, opened).approved is None
    # Mended in part: now it is read, and does not fit. The same comment says so.
    stage.world.push(stage.name, {"merge.yaml": stage.manifest(coder="demo/odd")}, branch="topic")
    issue = stage.world.repository(stage.name).issues[opened.payload["number"]]
    step = stage.step(events.pull_request(stage.world, stage.name, issue, "synchronize"))
    assert (step.code, step.outputs["failure-reason"]) == (5, "incompatible")
    assert {(file, line) for file, line, _ in step.annotations("error")} == {("merge.yaml", "4")}
    assert "❌ **Refused:** the sources do not fit together." in stage.comment(opened).body
    assert "/merge.yaml#L4) |" in stage.comment(opened).body


def test_a_manifest_full_of_traps(stage: Live) -> None:
    lines = "".join(f"  {json.dumps(trap)}: {json.dumps(trap)}\n" for trap in TRAPS)
    files = {
        "merges/a.yaml": f"version: 1\nbase: demo/base\nexperts:\n{lines}",
        "merges/::error::`@eve` #1 $.yaml": stage.manifest(),
    }
    opened = stage.propose(files)
    step = stage.step(opened, manifest="merges/*.yaml")
    assert step.code == 2
    assert {each.name for each in step.commands} <= {"group", "endgroup", "error"}
    assert [each.data for each in step.commands if each.name == "group"] == [
        "plan merges/::error::`@eve` #1 $.yaml", "plan merges/a.yaml"
    ]  # fmt: skip
    assert step.outputs.keys() == {"changed", "key", "repo", "commit", "url", "report", "failure-reason"}
    assert len(comments(stage, opened)) == 2
    judge = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    for body in (*(each.body for each in comments(stage, opened)), step.summary):
        assert "<!--" not in body.partition("\n")[2].replace("`", "") or "<!-- x" in body
        shown = judge.render(body)
        assert "<img" not in shown
        assert all(link.startswith("https://github.com/") for link in re.findall(r'href="([^"]*)"', shown))
        text = re.sub(r"<code>.*?</code>|<!--.*?-->|<[^>]*>", "", shown, flags=re.DOTALL)
        assert not re.search(r"@\w|(?<!&)#\d|GH-\d", text), text
        assert shown.count("<details>") == shown.count("</details>")


class TestManifests:
    def test_those_that_are_touched_are_planned(self, stage: Live) -> None:
        before = {f"merges/{name}.yaml": stage.manifest(repo=f"demo/{name}") for name in "abc"}
        stage.world.push(stage.name, before)
        opened = stage.propose({"merges/b.yaml": stage.manifest("ties", repo="demo/b"), "README.md": "x"})
        step = stage.ok(opened, manifest="merges/*.yaml")
        assert step.outputs["repo"] == "demo/b"
        assert marker(stage, opened).manifest == "merges/b.yaml"
        # Taken back: what the comment says is kept true.
        stage.world.push(stage.name, {"merges/b.yaml": before["merges/b.yaml"]}, branch="topic")
        issue = stage.world.repository(stage.name).issues[opened.payload["number"]]
        stage.ok(events.pull_request(stage.world, stage.name, issue, "synchronize"), manifest="merges/*.yaml")
        assert "by `ram+`" in stage.comment(opened).body
        assert marker(stage, opened).head == stage.world.head(stage.name, "topic")

    def test_a_manifest_with_a_new_name_has_one_comment(self, stage: Live) -> None:
        opened = stage.propose({"merges/a.yaml": stage.manifest()})
        stage.ok(opened, manifest="merges/*.yaml")
        stage.world.push(stage.name, {"merges/a.yaml": None, "merges/b.yaml": stage.manifest()}, branch="topic")
        issue = stage.world.repository(stage.name).issues[opened.payload["number"]]
        stage.ok(events.pull_request(stage.world, stage.name, issue, "synchronize"), manifest="merges/*.yaml")
        assert marker(stage, opened).manifest == "merges/b.yaml"

    def test_nothing_is_said_of_others(self, stage: Live) -> None:
        stage.world.push(stage.name, {"merge.yaml": stage.manifest()})
        opened = stage.propose({"README.md": "x"})
        step = stage.ok(opened)
        assert "touches no manifest" in notices(step)
        assert comments(stage, opened) == []
        assert step.outputs["changed"] == "false"

    def test_a_rate_limit_in_the_middle_loses_nothing(self, stage: Live) -> None:
        files = {f"merges/{name}.yaml": stage.manifest(repo=f"demo/{name}") for name in "abc"}
        opened = stage.propose(files)
        stage.github.limit(10)
        step = stage.ok(opened, manifest="merges/*.yaml")
        stage.github.limit(None)
        assert step.annotations("warning")
        assert 0 < len(comments(stage, opened)) < 3
        assert step.summary.count("**Planned") == 3
        stage.ok(opened, manifest="merges/*.yaml")
        told = [marks("plan", each.body)[0]["manifest"] for each in comments(stage, opened)]
        assert sorted(told) == sorted(files)


class TestGitHubInTrouble:
    def test_a_plan_needs_no_comment(self, stage: Live) -> None:
        opened = stage.propose({"merge.yaml": stage.manifest()})
        token = stage.token("pull_request")
        said = f"the token {token} is not known"
        stage.github.faults.add(Fault("status", "/comments", "POST", 9, status=422, message=said))
        step = stage.ok(opened, github_token=token)
        assert step.annotations("warning")
        assert token[:12] not in step.printed + step.summary
        assert "**Planned" in step.summary

    def test_without_a_token_there_is_the_summary(self, stage: Live) -> None:
        step = stage.ok(stage.propose({"merge.yaml": stage.manifest()}), github_token="")
        assert "`github-token` is empty" in notices(step)
        assert "**Planned" in step.summary
        assert [each for each in stage.github.requests if stage.name in each.path] == []

    def test_permissions_that_lack_are_named(self, stage: Live) -> None:
        opened = stage.propose({"merge.yaml": stage.manifest()})
        step = stage.ok(opened, github_token=stage.world.job_token(stage.name, contents="read", pull_requests="read"))
        ((_, _, warning),) = step.annotations("warning")
        assert "permissions: pull-requests: write" in warning


def test_an_input_that_is_an_option_is_refused(stage: Live) -> None:
    step = stage.step(stage.propose({"merge.yaml": stage.manifest()}), manifest="--upload-pack=x")
    assert step.code == 2
    assert step.outputs["failure-reason"] == "usage"
    assert [each for each in stage.github.requests if stage.name in each.path] == []


def test_a_process_of_its_own_loads_nothing_that_reads_weights(stage: Live, tmp_path: Path) -> None:
    opened = stage.propose({"merge.yaml": stage.manifest()})
    variables = stage.environment(opened, None, {})
    seen = tmp_path / "loaded.json"
    command = [sys.executable, "-P", "-c", WITNESS, str(seen)]
    subprocess.run(command, cwd=variables["GITHUB_WORKSPACE"], env=variables, check=True, stdout=subprocess.DEVNULL)
    packages = set(json.loads(seen.read_text()))
    assert not packages & HEAVY
    assert {"github", "huggingface_hub"} <= packages
    assert marker(stage, opened).state == "planned"
