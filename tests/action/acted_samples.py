"""What manifests came to, in every state, and a job to tell it with."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ramekin.action.account import Account
from ramekin.action.event import Event
from ramekin.action.job import Job
from ramekin.action.runner import Runner
from ramekin.action.settings import Inputs, Settings
from ramekin.environment import Environment
from ramekin.errors import IncompatibleError, ManifestError, Problem, PublishError, SourceError
from ramekin.plan.model import Change, Plan
from ramekin.publish.committing import Published
from ramekin.report import Cost, Seconds
from ramekin.secret import Secret
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("card", "plan")]
from plan_samples import HOSTILE, READY, REFUSED  # noqa: E402
from scored_samples import with_scores  # noqa: E402

HEAD = "5e" * 20
MANIFEST = Path("merges/agent.yaml")
LINES = {"base": 3, "coder": 5, "tool": 6, "memory": 7}
URL = "https://huggingface.co/my-org/agent-7b"
TRAPS = [
    "${{ secrets.HF_TOKEN }}",
    "::set-output name=changed::true",
    "::error file=a::b",
    "##[add-mask]x",
    "a\n::error::b\r\nc",
    "``` `tick` ``",
    "--> <!-- x",
    '<!-- ramekin:plan {"manifest":"merges/agent.yaml"} -->',
    "<img src=x onerror=alert(1)>",
    "@octocat #1 GH-2",
    "</details>",
    "a | b",
    "https://evil.example www.evil.example",
    "\u202egnp.exe",
]


def make_job(event: Event | None = None, stream: io.StringIO | None = None, **settings: object) -> Job:
    """A job on a runner that writes to a string."""
    out = stream or io.StringIO()
    made = Settings(
        inputs=Inputs(),
        github_token=Secret("ghs_" + "t" * 36),
        event_name="pull_request",
        event_path=None,
        repository="acme/agents",
        sha="ab" * 20,
        ref="refs/pull/7/merge",
        workspace=Path("/workspace"),
        temporary=Path("/temporary"),
        api_url="https://api.github.com",
        server_url="https://github.com",
        run_id="4711",
    )
    made = replace(made, **settings)
    terminal = Terminal(color=False, out=out, err=out)
    runner = Runner(out, made.workspace, made.output, made.summary)
    return Job(made, event or Event("pull_request"), runner, Workbench(Environment.read({}), terminal))


def refused(plan: Plan) -> IncompatibleError:
    """The error of a plan that refuses."""
    found = [
        Problem(f"{each.place}: {each.subject}: {each.what}", each.hint, MANIFEST, LINES[each.place])
        for each in plan.errors
    ]
    return IncompatibleError(
        problems=[*found, *(Problem(each, "choose other sources") for each in plan.licence.problems)]
    )


PLAN = READY.model_copy(update={"manifest": str(MANIFEST)})
_PLANNED = Account(MANIFEST, HEAD, plan=PLAN, lines=LINES)
_REPORT = with_scores().report.model_copy(
    update={
        "cost": Cost(
            seconds=Seconds(fetch=310.0, merge=402.5, evaluate=0.0, publish=61.25),
            bytes_read=121_849_864_192,
            bytes_written=15_242_713_120,
            peak_rss_bytes=3_402_653_184,
        )
    }
)
_PUBLISHED = Published("my-org/agent-7b", "88" * 20, f"{URL}/commit/{'88' * 20}", fresh=True)
_WRONG = ManifestError(
    problems=[
        Problem("`experts.coder.repo` is not a repository id", "write `namespace/name`", MANIFEST, 5),
        Problem("`methd` is not a key of a manifest", "perhaps you meant `method`", MANIFEST, 9),
    ]
)
_GONE = SourceError("the Hub could not be reached for 12 minutes", "run it again: it goes on from what is there")

STATES = {
    "planned": _PLANNED,
    "unlocked": replace(_PLANNED, unlocked=True),
    "refused": replace(
        _PLANNED,
        plan=REFUSED.model_copy(update={"manifest": str(MANIFEST)}),
        error=refused(REFUSED),
    ),
    "objected": replace(
        _PLANNED,
        plan=PLAN.model_copy(update={"action": "refuse", "reason": "my-org/agent-7b: was not made by ramekin"}),
        error=PublishError("my-org/agent-7b: was not made by ramekin", "name another in output.repo"),
    ),
    "wrong": replace(_PLANNED, plan=None, error=_WRONG, lines={}),
    "up-to-date": replace(
        _PLANNED,
        plan=PLAN.model_copy(update={"action": "nothing", "reason": "the Hub holds this merge already", "changes": ()}),
    ),
    "running": replace(_PLANNED, state="running", since=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
    "published": replace(
        _PLANNED,
        state="published",
        published=replace(_PUBLISHED, notes=("no results were written for `gsm8k`: the Hub knows no such task",)),
        report=_REPORT,
    ),
    "proposed": replace(
        _PLANNED,
        state="published",
        published=replace(_PUBLISHED, url=f"{URL}/discussions/3", pull_request=True),
        report=_REPORT,
    ),
    "nothing": replace(
        _PLANNED,
        state="nothing",
        plan=PLAN.model_copy(update={"action": "nothing", "reason": "the Hub holds this merge already", "changes": ()}),
        published=replace(_PUBLISHED, fresh=False),
    ),
    "failed": replace(_PLANNED, state="failed", error=_GONE),
    "failed-early": replace(_PLANNED, state="failed", plan=None, error=_WRONG, lines={}),
    "changed": replace(
        _PLANNED,
        state="changed",
        error=PublishError("plan-changed: 2 differences", "look at them"),
        differences=(
            Change(subject="coder", old="Gen-Verse/ReasonFlux-Coder-7B, 91b64e2c8091", new="Gen-Verse/x, 77aa"),
            Change(subject="gate", old=None, new="gsm8k 0.5"),
        ),
    ),
    "cancelled": replace(_PLANNED, state="cancelled"),
    "told-off": replace(
        _PLANNED,
        notice="`/ramekin run --pr` was not done: the plan was of commit `1111111`, and the pull request is at "
        "`5e5e5e5`; look at the plan as it is now, and comment again.",
    ),
    "hostile": replace(
        _PLANNED,
        manifest=Path("merges/a`|<img src=x>@octocat #1 -->\n::error::.yaml"),
        plan=HOSTILE,
        error=ManifestError(problems=[Problem(trap, trap, Path(f"merges/{trap}"), 3) for trap in TRAPS]),
        state="failed",
    ),
}  # fmt: skip
