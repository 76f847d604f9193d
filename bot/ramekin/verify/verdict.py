"""What verifying found, as data and as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ramekin.attestation.checking import Attested
from ramekin.errors import DamagedError, Problem
from ramekin.plan.quantities import count, plural
from ramekin.text import printable

_ASK = "--public-key, or --identity and --issuer"


@dataclass(frozen=True)
class Trial:
    """What became of loading the model.

    Attributes:
        problems: What went wrong; empty if it works.
        architecture: Class of the model.
        dtype: Element type that its config makes it load in.
        parameters: How many it has.
        tokens: Length of what it was given to read.
        logits: Dimensions of its answer; empty where it did not come to one.
    """

    problems: tuple[str, ...]
    architecture: str = ""
    dtype: str = ""
    parameters: int = 0
    tokens: int = 0
    logits: tuple[int, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ok": not self.problems,
            "problems": list(self.problems),
            "architecture": self.architecture,
            "dtype": self.dtype,
            "parameters": self.parameters,
            "tokens": self.tokens,
            "logits": list(self.logits),
        }


@dataclass(frozen=True)
class Verdict:
    """What verifying found.

    Attributes:
        subject: Repository at a commit, or directory.
        key: Key of the merge.
        files: Number of files that the report names.
        wrong: Files that are missing or differ, with what is wrong.
        remerged: Files that were derived again, all of them bit for bit equal unless they are in `wrong`.
        attested: What its attestation came to; None where it has none and none was asked for.
        trial: What became of loading it; None where that was not asked for, or files are wrong.
    """

    subject: str
    key: str
    files: int
    wrong: Mapping[str, str]
    remerged: int = 0
    attested: Attested | None = None
    trial: Trial | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing that was looked at is wrong."""
        return not (self.wrong or self._unattested or (self.trial and self.trial.problems))

    @property
    def _unattested(self) -> Mapping[str, str]:
        return self.attested.wrong if self.attested else {}

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        data: dict[str, Any] = {
            "subject": self.subject,
            "key": self.key,
            "ok": self.ok,
            "files": self.files,
            "wrong": dict(self.wrong),
            "remerged": self.remerged,
            "attestation": self.attested.to_data() if self.attested else None,
        }
        if self.trial:
            data["load"] = self.trial.to_data()
        return data

    def check(self) -> None:
        """Raise what is wrong, if anything is."""
        found = [(name, what, "publish or merge again") for name, what in self.wrong.items()]
        for name, what in self._unattested.items():
            hint = (
                "sign it with `ramekin sign`" if what == "is missing" else "do not trust it; ask whoever published it"
            )
            found.append((name, what, hint))
        problems = [Problem(f"{self.subject}: {printable(name)}: {what}", hint) for name, what, hint in found]
        hint = "compare it with the base; then merge and publish again"
        problems += [Problem(f"{self.subject}: {what}", hint) for what in (self.trial.problems if self.trial else ())]
        if problems:
            raise DamagedError(problems=problems)


def show_verdict(verdict: Verdict) -> str:
    """The verdict as text."""
    good = verdict.files - len(verdict.wrong)
    lines = [f"{verdict.subject}: {good} of {verdict.files} files are as the report has them"]
    if verdict.remerged:
        wrong = sum(1 for what in verdict.wrong.values() if "sources" in what)
        lines.append(f"merged again: {verdict.remerged - wrong} of {verdict.remerged} files are equal, bit for bit")
    lines += _attestation_lines(verdict)
    if verdict.trial:
        lines.append(_trial_line(verdict.trial))
    return "\n".join([*lines, verdict.key])


def _attestation_lines(verdict: Verdict) -> list[str]:
    attested = verdict.attested
    if attested is None:
        return []
    if not attested.checked:
        return [f"signed by {attested.by}, not checked: give {_ASK}"]
    if attested.wrong:
        return [f"signature: {plural(len(attested.wrong), 'problem')}"]
    return [f"signed by {attested.by}: key, lock and {attested.files} files"]


def _trial_line(trial: Trial) -> str:
    if trial.problems:
        return f"loading: {plural(len(trial.problems), 'problem')}"
    shape = " x ".join(map(str, trial.logits))
    return (
        f"loaded: {printable(trial.architecture)}, {printable(trial.dtype)}, {count(trial.parameters)} parameters; "
        f"{trial.tokens} tokens gave {shape} finite logits"
    )
