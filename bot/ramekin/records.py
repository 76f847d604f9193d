"""What counting and merging tell of their work: how the experts' changes overlap, and which files there are.

Parts of the report (`ramekin.report`), apart from it so that counting need not load the rest.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from ramekin.lock.model import Sha256
from ramekin.methods.ram import Overlap


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class ExpertOverlap(_Part):
    """How one expert's changes overlap with the others'.

    Attributes:
        changed: Elements that it changed.
        density: Their share in the model.
        unique: Those that nobody else changed.
        shared: Those that others changed too.
        rho: Ratio of shared to unique; None where it is infinite.
        factor: Factor on the unique part; None for methods without one.
        shared_with: For k = 0 … N-1, the elements that it changed together with exactly k others.
    """

    changed: int
    density: float
    unique: int
    shared: int
    rho: float | None
    factor: float | None = Field(alias="lambda")
    shared_with: tuple[int, ...]

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)


class ModuleOverlap(_Part):
    """What was changed in one kind of module, such as `mlp.down_proj`, layer by layer.

    Attributes:
        layers: The layers it is in, ascending; None stands for what is in no layer, such as the embedding.
        elements: Elements of the module in each of them.
        anyone: Elements that at least one expert changed.
        several: Elements that at least two changed.
        experts: By expert, the elements that it changed.
    """

    layers: tuple[int | None, ...]
    elements: tuple[int, ...]
    anyone: tuple[int, ...]
    several: tuple[int, ...]
    experts: dict[str, tuple[int, ...]]


class ReportedOverlap(_Part):
    """The overlap statistics of the whole model.

    Attributes:
        elements: Elements that were compared.
        patterns: Elements by who changed them.
        experts: By expert.
        modules: The same by kind of module and layer; empty where a report was written before this was counted.
    """

    elements: int
    patterns: dict[str, int]
    experts: dict[str, ExpertOverlap]
    modules: dict[str, ModuleOverlap] = {}


class FileRecord(_Part):
    """Size in bytes and sha256 in hex of one file."""

    size: int = Field(ge=0)
    sha256: Sha256


def report_overlap(
    overlap: Overlap,
    names: tuple[str, ...],
    lambdas: tuple[float, ...] | None,
    modules: Mapping[str, ModuleOverlap] | None = None,
) -> ReportedOverlap:
    """Arrange the counts as the report shows them.

    Args:
        overlap: Counts by pattern over the whole model.
        names: The experts in manifest order.
        lambdas: Factor on each expert's unique part; None for methods without one.
        modules: Counts by kind of module and layer, where they are known.
    """
    elements = overlap.elements
    experts = {}
    for t, (name, factor) in enumerate(zip(names, lambdas or (None,) * len(names), strict=True)):
        shared_with = overlap.shared_with(t)
        changed = sum(shared_with)
        experts[name] = ExpertOverlap(
            changed=changed,
            density=changed / elements if elements else 0.0,
            unique=overlap.unique(t),
            shared=overlap.shared(t),
            rho=overlap.rho(t),
            factor=factor,
            shared_with=shared_with,
        )
    patterns = {"".join("01"[p >> t & 1] for t in range(len(names))): n for p, n in enumerate(overlap.counts)}
    return ReportedOverlap(elements=elements, patterns=patterns, experts=experts, modules=dict(modules or {}))
