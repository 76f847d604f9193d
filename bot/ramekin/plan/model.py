"""The plan as data: what a run would do, computed before it is done, and a hash by which to know it again."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from ramekin.checkpoint.findings import Finding
from ramekin.digests import json_digest
from ramekin.plan.cost import PlannedCost
from ramekin.plan.disk import Mode
from ramekin.plan.layout import Layout
from ramekin.plan.measuring import PlannedEvaluation

Action = Literal["publish", "card", "nothing", "refuse"]
"""Publish everything, the card alone, nothing since it is published already, or nothing since it cannot be done."""

TargetState = Literal["absent", "empty", "ours", "foreign"]

_NOT_HASHED: Final = frozenset({"hash", "cost", "reason", "schema", "manifest", "changes"})
_NOT_HASHED_OF_SOURCES: Final = frozenset({"bytes", "files", "adapter"})


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class PlannedSource(_Part):
    """A source of the merge.

    Attributes:
        role: `base`, `expert:NAME`, or `data:BENCHMARK:USE`.
        source: Repository id, or path as the manifest has it.
        kind: `hub` or `local`.
        requested: Revision that the manifest names, None for the default branch.
        commit: What it is pinned to.
        license: Licence id as the source declares it.
        private: Whether the source is private.
        files: Number of files that are read.
        bytes: Their size together.
        adapter: Of an adapter, what it is: `LoRA adapter, rank 16, 224 tensors`.
    """

    role: str
    source: str
    kind: Literal["hub", "local"] = "hub"
    requested: str | None = None
    commit: str
    license: str | None = None
    private: bool = False
    files: int
    bytes: int
    adapter: str | None = None

    @property
    def place(self) -> str:
        """`base`, the expert's name, or a benchmark with the use of the file."""
        return self.role.removeprefix("expert:").removeprefix("data:").replace(":", " ")

    @property
    def shelf(self) -> str:
        """What stands before its name in addresses on the Hub."""
        return "/datasets" if self.role.startswith("data:") else ""


class PlannedLicence(_Part):
    """What the sources' licences make of the result.

    Attributes:
        licence: Licence id of the result; None where it cannot be told.
        notices: Terms, notices and duties that come along.
        problems: Why the licences cannot all be met; each keeps the plan from being carried out.
    """

    licence: str | None = None
    notices: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class PlannedMethod(_Part):
    """The method, with all parameters filled in."""

    name: str
    parameters: dict[str, Any] = {}


class PlannedLayout(_Part):
    """The merged checkpoint in numbers.

    Attributes:
        tensors: Number of tensors.
        elements: Elements that are merged; a tied tensor counts once.
        files: Number of weight files.
        bytes: Bytes of all tensors.
        dtypes: Element types with the number of tensors of each.
    """

    tensors: int
    elements: int
    files: int
    bytes: int
    dtypes: dict[str, int]

    @classmethod
    def of(cls, layout: Layout) -> "PlannedLayout":
        """Sum up a layout."""
        tasks = [task for shard in layout.shards for task in shard.tensors]
        dtypes: dict[str, int] = {}
        for task in tasks:
            dtypes[task.dtype] = dtypes.get(task.dtype, 0) + 1
        return cls(
            tensors=len(tasks),
            elements=layout.merged_elements,
            files=len(layout.shards),
            bytes=layout.total_size,
            dtypes=dict(sorted(dtypes.items())),
        )


class Target(_Part):
    """The repository that the merge goes to, as it is now.

    Attributes:
        repo: Its id.
        exists: Whether it is there.
        state: `absent`; `empty` for one that holds nothing yet; `ours`, made by ramekin; `foreign`, made by others.
        head: Commit that its branch is at.
        key: Key of the merge that it holds.
        private: Its visibility, or the one that it would be created with.
    """

    repo: str
    exists: bool
    state: TargetState
    head: str | None = None
    key: str | None = None
    private: bool = True


class Change(_Part):
    """One difference between what is published and what the plan would publish.

    Attributes:
        subject: What differs: `base`, an expert's name, or a parameter such as `method.r`.
        old: As it is published; None for what was not there.
        new: As the plan has it; None for what goes away.
        url: Where the difference between two commits can be looked at.
    """

    subject: str
    old: str | None
    new: str | None
    url: str | None = None


class Plan(_Part):
    """All that a run would do.

    Attributes:
        manifest: Path of the manifest, as it was given.
        key: Key of the merge.
        action: What a run would do.
        reason: Why, in one sentence without a final full stop.
        target: Where the merge goes, as it is now.
        method: The method with all its parameters.
        sources: The base, then the experts in manifest order.
        findings: What comparing the checkpoints turned up, errors first.
        licence: What the licences make of the result.
        layout: The merged checkpoint in numbers; None where the checkpoints do not fit together.
        cost: What it takes on this machine; None likewise.
        changes: What differs from what is published.
        evaluation: What will be measured, and what it must reach; None where nothing will be.
        schema_version: Version of the JSON form.
    """

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    manifest: str
    key: str
    action: Action
    reason: str
    target: Target
    method: PlannedMethod
    sources: tuple[PlannedSource, ...]
    findings: tuple[Finding, ...] = ()
    licence: PlannedLicence = Field(default_factory=PlannedLicence)
    layout: PlannedLayout | None = None
    cost: PlannedCost | None = None
    changes: tuple[Change, ...] = ()
    evaluation: PlannedEvaluation | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hash(self) -> str:
        """`sha256:…` of everything that matters in the plan: the same on every machine, until the state changes.

        Left out are the texts for people, what depends on the machine, and the path of the manifest.
        """
        return "sha256:" + json_digest(self._facts(_NOT_HASHED))

    @property
    def core(self) -> str:
        """The same of what does not depend on the target, which not everybody can see who makes a plan."""
        return "sha256:" + json_digest(self._facts(_NOT_HASHED | {"target", "action"}))

    def _facts(self, left_out: frozenset[str]) -> dict[str, Any]:
        facts = self.model_dump(mode="json", by_alias=True, exclude={*left_out, "schema_version"})
        if self.evaluation is None:
            del facts["evaluation"]  # a plan that has none is the one that it was before there were such
        facts["sources"] = [
            {key: value for key, value in source.items() if key not in _NOT_HASHED_OF_SOURCES}
            for source in facts["sources"]
        ]
        return facts

    @property
    def mode(self) -> Mode:
        """In which of two modes a run would go about it."""
        return self.cost.disk.mode if self.cost and self.cost.disk else "normal"

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the sources from being merged."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(finding for finding in self.findings if finding.severity == "note")

    def to_json(self) -> str:
        """The plan as one JSON object, two spaces, a final newline."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
