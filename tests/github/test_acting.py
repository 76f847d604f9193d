"""`act` runs workflows against the loopback GitHub as a runner would."""

from pathlib import Path

import pytest

from tests.github import events
from tests.github.acting import CHECKOUT, act, missing
from tests.github.loopback import serve

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "")

WORKFLOW = f"""
on: [push, pull_request]
permissions: {{}}
jobs:
  told:
    runs-on: ubuntu-latest
    permissions: {{contents: read}}
    steps:
      - uses: actions/checkout@{CHECKOUT} # v7.0.1
        with: {{persist-credentials: false}}
      - id: step
        shell: bash
        env: {{TOKEN: "${{{{ github.token }}}}", SECRET: "${{{{ secrets.HF_TOKEN }}}}"}}
        run: |
          {{ echo 'lines<<END'; echo 1; echo 2; echo END; echo "at=$GITHUB_SHA $GITHUB_REF"; }} >> "$GITHUB_OUTPUT"
          echo '## Summary' >> "$GITHUB_STEP_SUMMARY"
          echo "::add-mask::$SECRET"
          echo '::error file=merge.yaml,line=3,title=Oh::no'
          echo "$GITHUB_REPOSITORY $GITHUB_API_URL ${{#SECRET}} $SEEN $(cat merge.yaml)"
          python3 -c 'import os, requests
          url = os.environ["GITHUB_API_URL"] + "/repos/" + os.environ["GITHUB_REPOSITORY"]
          print(requests.get(url, headers={{"Authorization": "Bearer " + os.environ["TOKEN"]}}).json()["full_name"])'
      - uses: ramekin-bot/trial@v1
  failing:
    needs: told
    runs-on: ubuntu-latest
    steps: [{{shell: bash, run: exit 3}}]
"""
TRIAL = """
name: trial
description: A composite action.
runs:
  using: composite
  steps: [{shell: bash, run: 'ls "$GITHUB_ACTION_PATH"'}]
"""


def test_a_workflow_runs_with_what_a_runner_gives_it(tmp_path: Path) -> None:
    trial = tmp_path / "trial"
    trial.mkdir()
    (trial / "action.yml").write_text(TRIAL)
    with serve(tmp_path / "github", tls=True) as github:
        world = github.world
        world.create("team/models", {"merge.yaml": "a: 1\n", ".github/workflows/told.yml": WORKFLOW}, private=True)
        world.push("team/models", {"merge.yaml": "a: 2\n"}, branch="topic")
        issue = world.open_pull("team/models", "topic")
        secrets = {"GITHUB_TOKEN": world.job_token("team/models", contents="read"), "HF_TOKEN": "hf_" + "s" * 34}
        for event, content in (
            (events.push(world, "team/models"), "a: 1"),
            (events.pull_request(world, "team/models", issue), "a: 2"),
        ):
            acted = act(
                github,
                event,
                tmp_path / "runs",
                workflow="told.yml",
                secrets=secrets,
                env={"SEEN": "by steps"},
                actions={"ramekin-bot/trial@v1": trial},
            )
            assert acted.outputs == {"lines": "1\n2", "at": f"{event.sha} {event.ref}"}, acted.log
            assert acted.summary == "## Summary\n"
            (annotation,) = acted.annotations
            assert (annotation.level, annotation.text) == ("error", "no")
            assert annotation.properties == {"file": "merge.yaml", "line": "3", "title": "Oh"}
            lines = [line.strip() for line in acted.said.splitlines()]
            assert f"team/models {github.api_url} 37 by steps {content}" in lines
            assert "team/models" in lines  # said by the interface, to the token
            assert "action.yml" in lines
            assert (acted.code, acted.result("told"), acted.result("failing")) == (1, "success", "failure")
            assert secrets["HF_TOKEN"] not in acted.log
