"""Jobs on the Hub as they are asked for: started once, found again, looked at, cancelled."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from huggingface_hub import JobInfo
from huggingface_hub.errors import HfHubHTTPError

from ramekin.errors import PublishError, UsageError
from ramekin.jobs.message import is_mark
from ramekin.jobs.parcel import Parcel
from ramekin.jobs.place import Place
from ramekin.publish.landing import land
from ramekin.refusals import HUB_ERRORS, reading, said
from ramekin.secret import Secret
from ramekin.text import printable
from ramekin.threads import at_once
from ramekin.trust.exchange import unlogged

if TYPE_CHECKING:
    from huggingface_hub import JobHardwareInfo

    from ramekin.publish.writer import HubWriter

_ALIVE: Final = ("SCHEDULING", "RUNNING")
_SAME: Final = "ramekin"
"""Label by which a job that does the same is known."""
_ATTEMPT: Final = "ramekin-attempt"
"""Label by which a job is known whose number was lost with the answer to its start."""
_LOOKS: Final = 3
_HERE: Final = "or run it here: leave out --on"


@dataclass(frozen=True)
class Started:
    """A job that was started, by us now or earlier.

    Attributes:
        number: Its id.
        url: Its page.
        mark: Delimiter of what it sends back.
        flavor: The machine that it runs on.
    """

    number: str
    url: str
    mark: str
    flavor: str


class Jobs:
    """The jobs of one namespace.

    Args:
        client: The Hub.
        place: Where jobs are to run.
        repo: What they are to publish to.
    """

    def __init__(self, client: "HubWriter", place: Place, repo: str) -> None:
        self._client = client
        self._place = place
        self._repo = repo
        self._user = client.name(repo)
        self.namespace = place.namespace or self._user

    # Before

    def find(self, digest: str) -> Started | None:
        """A job of ours that runs, or is about to, and does the same; the newest if there are several.

        Raises:
            SourceError: The Hub cannot be asked.
        """
        for listed in self._listed(_SAME, digest):
            number = str(listed.id)
            with reading(f"job {number}", access=self._client.access):
                job = self._client.patiently(partial(self._inspect, number))  # a list may not tell all
            if job and job.status.stage in _ALIVE and self._is_ours(job):
                return self._started(job)
        return None

    def start(self, parcel: Parcel, token: Secret) -> Started:
        """Start a job, once: if the answer is lost, it is looked whether there is one.

        Raises:
            PublishError: The Hub refuses, or cannot be reached.
            UsageError: It takes no such job.
        """
        attempt = secrets.token_hex(16)
        labels = {"name": self._name, _SAME: parcel.digest, _ATTEMPT: attempt}

        def act() -> Started:
            with self._client.once(self._repo, "start a job"):
                (job,) = at_once(self._submit, [(parcel, labels, token)], 1)
                return self._started(job, parcel.mark)

        def landed() -> Started | None:
            return next((self._started(job, parcel.mark) for job in self._listed(_ATTEMPT, attempt)), None)

        try:
            return land(self._client, self._repo, "the start of a job", act, landed, "nothing was published")
        except KeyboardInterrupt:
            self._cancel_unanswered(attempt)
            raise

    def machine(self) -> "JobHardwareInfo | None":
        """What the Hub says of the machine; None if it does not tell.

        Raises:
            UsageError: There is no such machine.
        """
        try:
            listed = {machine.name: machine for machine in self._client.patiently(self._client.api.list_jobs_hardware)}
        except HUB_ERRORS:
            return None
        if listed and self._place.flavor not in listed:
            import difflib

            near = difflib.get_close_matches(self._place.flavor, listed, 1)
            hint = f"did you mean `hf-jobs:{printable(near[0])}`? " if near else ""
            raise UsageError(f"the Hub has no machine `{self._place.flavor}`", f"{hint}`hf jobs hardware` lists all")
        return listed.get(self._place.flavor)

    # After

    def look(self, number: str) -> JobInfo | None:
        """The job as it is now; None if there is none any more.

        Raises:
            SourceError: The Hub cannot be asked.
        """
        with reading(f"job {number}", access=self._client.access):
            return self._inspect(number)

    def log(self, number: str) -> Iterable[str]:
        """The lines of its log, from the first on, as they come."""
        return self._client.api.fetch_job_logs(job_id=number, namespace=self.namespace, follow=True)

    def cancel(self, number: str) -> None:
        """Cancel a job.

        Raises:
            PublishError: The Hub refuses, or cannot be reached.
        """
        with self._client.writing(self._repo, f"cancel the job {number}"):
            self._client.patiently(lambda: self._client.api.cancel_job(job_id=number, namespace=self.namespace))

    # How

    @property
    def _name(self) -> str:
        """What people read in the list of their jobs."""
        return "ramekin-" + re.sub(r"[^A-Za-z0-9]+", "-", self._repo)[:60].strip("-")

    def _inspect(self, number: str) -> JobInfo | None:
        try:
            return self._client.api.inspect_job(job_id=number, namespace=self.namespace)
        except HfHubHTTPError as error:
            if error.response.status_code in {404, 410}:
                return None
            raise

    def _submit(self, what: tuple[Parcel, dict[str, str], Secret]) -> JobInfo:
        parcel, labels, token = what
        script = resources.files("ramekin.jobs").joinpath("boot.py").read_text(encoding="utf-8")
        try:
            with unlogged():  # the client hides the token in a header only
                return self._client.api.run_job(
                    image=self._place.image,
                    command=["python3", "-c", script],
                    env=parcel.environment,
                    secrets={"HF_TOKEN": token.reveal()},
                    flavor=self._place.flavor,
                    timeout=self._place.timeout,
                    labels=labels,
                    namespace=self.namespace,
                )
        except HfHubHTTPError as error:
            self._check_refusal(error)
            raise

    def _cancel_unanswered(self, attempt: str) -> None:
        """Cancel a job whose start nobody waits for any more: it may be there all the same, or be about to."""
        for number in range(_LOOKS):
            if found := self._listed(_ATTEMPT, attempt):
                self.cancel(str(found[0].id))
                return
            self._client.pause(number)

    def _check_refusal(self, error: HfHubHTTPError) -> None:
        """Raise what is to be said about a refusal that says something about jobs."""
        place, whose, told = self._place, printable(self.namespace), said(error)
        match error.response.status_code:
            case 402:
                hint = f"look at {self._client.endpoint}/settings/billing, {_HERE}"
                raise PublishError(f"{place}: the Hub wants a job of {whose} to be paid for ({told})", hint) from error
            case 401 | 403:
                hint = f"give it the permission to start jobs (`job.write`) of {whose}, {_HERE}"
                raise PublishError(f"{place}: this token may not start jobs of {whose} ({told})", hint) from error
            case 404:
                hint = f"check RAMEKIN_JOB_NAMESPACE and HF_ENDPOINT, {_HERE}"
                raise PublishError(f"{place}: the Hub runs no jobs of {whose} ({told})", hint) from error
            case 400 | 413 | 422:
                hint = "check the machine (`hf jobs hardware` lists all), image and timeout"
                raise UsageError(f"{place}: the Hub takes no such job ({told})", hint) from error

    def _listed(self, label: str, value: str) -> list[JobInfo]:
        """Jobs with a label that run, or are about to; the newest first."""

        def ask() -> list[JobInfo]:
            labels = {label: value}
            return list(self._client.api.list_jobs(status=[*_ALIVE], labels=labels, namespace=self.namespace))

        with reading("jobs on the Hub", access=self._client.access):
            found = self._client.patiently(ask)
        # A Hub that does not know labels lists all.
        fitting = [job for job in found if (job.labels or {}).get(label) == value and job.status.stage in _ALIVE]
        return sorted(fitting, key=lambda job: str(job.created_at), reverse=True)

    def _is_ours(self, job: JobInfo) -> bool:
        """Whether it was started as the same user: in an organization others may write what they like into theirs."""
        starter: Any = job.initiator or job.owner
        return starter.name == self._user and is_mark((job.environment or {}).get("RAMEKIN_JOB_MARK"))

    def _started(self, job: JobInfo, mark: str | None = None) -> Started:
        known = mark or str((job.environment or {})["RAMEKIN_JOB_MARK"])
        return Started(str(job.id), printable(job.url, 300), known, str(job.flavor or self._place.flavor))
