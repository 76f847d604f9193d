"""What a job's end means here: its outcome taken over, or what can be known without one."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from huggingface_hub import JobInfo
from pydantic import ValidationError

from ramekin.errors import (
    DamagedError,
    GateError,
    IncompatibleError,
    InternalError,
    LockError,
    Problem,
    PublishError,
    RamekinError,
    ResourceError,
    SourceError,
    UsageError,
)
from ramekin.jobs.following import Ended
from ramekin.jobs.place import Place
from ramekin.jobs.submission import Started
from ramekin.pipeline import Outcome
from ramekin.plan.quantities import duration
from ramekin.plan.standing import look_around
from ramekin.preparing import Prepared, Request
from ramekin.publish.committing import Published
from ramekin.publish.landing import Landed
from ramekin.publish.release import Release
from ramekin.report import Report
from ramekin.text import masked, printable
from ramekin.workbench import Workbench

_ERRORS: Final[tuple[type[RamekinError], ...]] = (
    UsageError, LockError, SourceError, IncompatibleError, DamagedError, PublishError, ResourceError, GateError,
)  # fmt: skip
_BY_CODE: Final = {error.exit_code: error for error in _ERRORS}
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_MEMORY: Final = re.compile(r"\boom|out.of.memory|exit code:? 137\b", re.IGNORECASE)
_TIME: Final = re.compile(r"time.?out|timed out|deadline", re.IGNORECASE)
_STOPPED: Final = frozenset({130, 143, -2, -15})
_KILLED: Final = frozenset({137, -9})
_MOST_PROBLEMS: Final = 200
_LONGEST: Final = 600
_MOST_NOTES: Final = 50


class Ending:
    """The end of one job.

    Args:
        place: Where it ran.
        started: The job.
        prepared: What was planned here.
        endpoint: The Hub's address.
    """

    def __init__(self, place: Place, started: Started, prepared: Prepared, endpoint: str) -> None:
        self._place = place
        self._started = started
        self._prepared = prepared
        self._endpoint = endpoint

    def told(self, message: Mapping[str, Any]) -> Outcome:
        """What a job has said of itself, as if it had been done here.

        Raises:
            RamekinError: What has failed there, of the same kind and with the same exit code.
        """
        code, result = message.get("code"), message.get("result")
        if isinstance(code, int) and isinstance(result, dict):
            if code != 0:
                raise self._failure(code, result.get("error"))
            published = self._published(result)
            if published and result.get("key") == self._prepared.plan.key:
                return Outcome(self._prepared.plan, _report(result.get("report")), None, published)
        raise DamagedError("the job has told an outcome that is none of this merge", self._see_its_log)

    def untold(self, ended: Ended) -> RamekinError:
        """Why a job may have ended without saying what became of it."""
        if not ended.installed:
            hint = "look above for why; --job-image names an image that has it, or one that it can be installed in"
            return PublishError(f"{self._place}: ramekin could not be installed in `{self._place.image}`", hint)
        if ended.job is None:
            return PublishError("the job was deleted on the Hub before it had ended", self._again)
        return self._by_stage(ended.job)

    def _by_stage(self, job: JobInfo) -> RamekinError:
        """The same, by what the Hub says of it."""
        stage = str(getattr(job.status.stage, "value", job.status.stage))
        reason = printable(masked(job.status.message or ""), 300)
        why = f" ({reason})" if reason else ""
        if stage == "CANCELED":
            return PublishError(f"the job was cancelled on the Hub{why}", self._again)
        if _MEMORY.search(reason):
            return self._too_little_memory(why)
        ran = job.durations.running_secs if job.durations else None
        if _TIME.search(reason) or (stage == "ERROR" and (ran or 0) >= self._place.timeout):
            limit = duration(self._place.timeout)
            hint = "run the same command with a longer --job-timeout, or on a faster machine"
            return ResourceError(f"the job was ended by the Hub for its time{why}; it was given {limit}", hint)
        if stage == "ERROR":
            return PublishError(f"the job has failed before it could say why{why}", self._see_its_log)
        return PublishError(f"the job has ended without an outcome{why}, and the Hub does not hold it", self._again)

    @property
    def _see_its_log(self) -> str:
        return f"look at {self._started.url}, and run the same command again"

    @property
    def _again(self) -> str:
        return f"run the same command again; the job was {self._started.url}"

    def _too_little_memory(self, why: str = "") -> ResourceError:
        what = f"the job was killed on `{self._started.flavor}`{why}, most likely for lack of memory"
        return ResourceError(what, "name a machine with more of it; `hf jobs hardware` lists all")

    def _failure(self, code: int, error: object) -> RamekinError:
        """The error that a command there has ended with."""
        if code in _KILLED:
            return self._too_little_memory()
        if code in _STOPPED:
            return PublishError("the job was interrupted on the Hub", self._again)
        problems = self._problems(error)
        if not problems:
            problems = [Problem(f"the job has ended with {code}, and did not say why", self._see_its_log)]
        return _BY_CODE.get(code, InternalError)(problems=problems)

    def _problems(self, error: object) -> list[Problem]:
        listed = error.get("problems") if isinstance(error, dict) else None
        if not isinstance(listed, list):
            return []
        given = [one for one in listed if isinstance(one, dict)][:_MOST_PROBLEMS]
        return [
            Problem(_text(one.get("what")), _text(one.get("hint")), self._path(one.get("path")), _line(one.get("line")))
            for one in given
        ]

    def _path(self, named: object) -> Path | None:
        """The manifest as it is called here; of another file its name, which means nothing here."""
        if not isinstance(named, str) or not named:
            return None
        manifest = self._prepared.loaded.path
        return manifest if named == manifest.name else manifest.parent / printable(named, 200)

    def _published(self, result: Mapping[str, Any]) -> Published | None:
        """Where the merge is, by what a job says; None if that cannot be."""
        repo, commit, url, notes = (result.get(name) for name in ("repo", "commit", "url", "notes"))
        wanted = self._prepared.plan.target.repo
        if repo != wanted or not isinstance(commit, str) or not _COMMIT.fullmatch(commit) or not isinstance(url, str):
            return None
        # Of the address only its last step is taken over: it is shown as a link.
        thread = re.search(r"/discussions/(\d{1,9})$", url)
        at = Landed.at(self._endpoint, wanted, commit)
        page = f"{self._endpoint}/{wanted}/discussions/{thread[1]}" if thread else at.url
        told = tuple(_text(note) for note in notes[:_MOST_NOTES]) if isinstance(notes, list) else ()
        return Published(wanted, commit, page, result.get("changed") is True, thread is not None, told)


def settle(bench: Workbench, request: Request, prepared: Prepared) -> Published | None:
    """What the Hub says of a job whose own word is lost: where the merge is, if it is there now and was not before.

    What comes after a commit, and may not have been done any more, is done now.
    """
    standing = look_around(bench.writer, prepared.loaded.manifest)
    plan = prepared.plan.model_copy(update={"target": standing.target})
    now = replace(prepared, standing=standing, made=replace(prepared.made, plan=plan))
    release = Release(bench, replace(request, force=False), now)
    if request.pull_request and standing.target.exists:
        found = release.waiting()
        return replace(found, fresh=True) if found else None
    moved = standing.target.head != prepared.standing.target.head
    if moved and standing.shows(prepared.lock.key, prepared.loaded.manifest.card.digest):
        return replace(release.held(), fresh=True)
    return None


def _report(data: object) -> Report | None:
    try:
        return Report.model_validate(data) if data is not None else None
    except ValidationError:
        return None


def _text(value: object) -> str:
    """Of what comes from another machine: short, on one line, and without anything that looks like a token."""
    return printable(masked(str(value)), _LONGEST) if isinstance(value, str) else ""


def _line(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else None
