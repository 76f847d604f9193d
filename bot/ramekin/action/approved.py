"""What people saw of a plan before they merged: enough to know it again, and to say what is another now."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Self

from ramekin.action.marking import written
from ramekin.digests import json_digest
from ramekin.plan.model import Change, Plan
from ramekin.plan.view import evaluation_texts, layout_text, licence_text, method_text, target_text

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_LONGEST: Final = 200
"""Characters of a fact."""
_ROOM: Final = 12_000
"""Characters of a mark that there are for all of them."""
_TARGET: Final = frozenset({"target", "action"})
"""Facts that are not the same for everybody who looks."""


@dataclass(frozen=True)
class Approved:
    """A plan as it was shown on a pull request.

    Attributes:
        manifest: Path of the manifest, relative to the repository, with slashes.
        head: Commit of the repository that it was made of.
        hash: Its hash.
        core: The same of what does not depend on the target.
        saw_target: Whether whoever planned could see the target: one that is private looks absent without a token.
        action: What a run would do.
        key: Key of the merge.
        facts: What it says, in short, by subject.
    """

    manifest: str
    head: str
    hash: str
    core: str
    saw_target: bool
    action: str
    key: str
    facts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, head: str) -> Self:
        """What is to be remembered of a plan."""
        seen = plan.target.exists
        return cls(plan.manifest, head, plan.hash, plan.core, seen, plan.action, plan.key, facts_of(plan))

    @classmethod
    def read(cls, data: object) -> Self | None:
        """Read what `to_data` gave; None for anything else."""
        if not isinstance(data, dict):
            return None
        facts = data.get("facts")
        texts = [data.get(name) for name in ("manifest", "action")]
        digests = [data.get(name) for name in ("hash", "core", "key")]
        if not isinstance(facts, dict) or not isinstance(data.get("saw_target"), bool):
            return None
        if not all(isinstance(text, str) for text in (*texts, *facts.values())):
            return None
        if not _matches(_COMMIT, data.get("head")) or not all(_matches(_DIGEST, each) for each in digests):
            return None
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})

    def to_data(self) -> dict[str, Any]:
        """For a mark."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def agrees(self, plan: Plan) -> bool:
        """Whether a plan is still the one that was shown, as far as both could see."""
        return plan.hash == self.hash if self.saw_target else plan.core == self.core

    def differences(self, plan: Plan) -> tuple[Change, ...]:
        """What is another now; nothing if nothing is."""
        if self.agrees(plan):
            return ()
        left_out = frozenset() if self.saw_target else _TARGET
        old, new = ({k: v for k, v in each.items() if k not in left_out} for each in (self.facts, facts_of(plan)))
        changes = tuple(
            Change(subject=name, old=old.get(name), new=new.get(name))
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name)
        )
        # What is cut short, or was not thought of, is in the hash all the same.
        return changes or (Change(subject="plan", old=self.hash[:23], new=plan.hash[:23]),)


def facts_of(plan: Plan) -> dict[str, str]:
    """What a plan says, in short, by subject: everything that its hash is of."""
    facts = {}
    for source in plan.sources:
        at = f" at {source.requested}" if source.requested else ""
        seen = ", private" if source.private else ""
        facts[source.place] = f"{source.source}{at}, {source.commit[:12]}, {source.license or 'no licence'}{seen}"
    held = f", holds {plan.target.key[:19]}" if plan.target.key else ""
    facts |= {
        "action": plan.action,
        "target": f"{plan.target.repo}, {target_text(plan)}{held}",
        "method": method_text(plan),
        "weights": layout_text(plan),
        "licence": _summed(licence_text(plan), plan.licence.model_dump(mode="json")),
    }
    if plan.findings:
        number = f"{len(plan.errors)} problems, {len(plan.notes)} notes"
        facts["findings"] = _summed(number, [finding.what + finding.subject for finding in plan.findings])
    facts |= {label.lower(): text for label, text in evaluation_texts(plan)}
    return _fitting({name: _short(text) for name, text in facts.items()})


def _fitting(facts: dict[str, str]) -> dict[str, str]:
    """As many facts as a mark has room for; what is left out is in the hash all the same."""
    kept, left = {}, _ROOM
    for name, text in facts.items():
        left -= written(f"{name}{text}") + len('"":"",')
        if left < 0:
            break
        kept[name] = text
    return kept


def _summed(text: str, content: object) -> str:
    return f"{text} ({json_digest(content)[:8]})"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 12]}… ({json_digest(text)[:8]})"


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))
