"""The models that are measured: their files, the digest that they are known by, and a directory to run them from.

A base or an expert that is a whole checkpoint is run from the files as they were fetched. An adapter is not run by the
libraries that know adapters: merging computes it as a change of the base, rounded to the output's types, and so it is
measured as the same. For that it is written out, as a backbone is that has got neurons since, and goes when it was
measured.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ramekin.assembling import assembled
from ramekin.checkpoint.adapter import ADAPTER_WEIGHTS
from ramekin.checkpoint.selection import files_to_borrow, files_to_copy
from ramekin.digests import json_digest
from ramekin.lock.model import Lock
from ramekin.methods import TaskArithmetic
from ramekin.methods.base import SEMANTICS, Method
from ramekin.plan.layout import Layout
from ramekin.records import FileRecord
from ramekin.scores import BACKBONE, BASE, EXPERT, MERGE

if TYPE_CHECKING:
    from ramekin.merge.engine import Means
    from ramekin.stock import Files

_BUILT: Final = ".measured"
"""Below the staging directory: a model that is written to be measured, and goes."""


@dataclass(frozen=True)
class Model:
    """A model that is measured.

    Attributes:
        name: `base`, `expert:NAME`, `backbone` or `merge`.
        digest: Of all that determines it.
        files: Its files, by path, where they lie somewhere.
        method: What makes its weights, where they have to be written first; `files` are then those beside them.
    """

    name: str
    digest: str
    files: Mapping[str, Path]
    method: Method | None = None


def source_model(role: str, files: "Files", lock: Lock, layout: Layout) -> Model:
    """The base, or an expert.

    Args:
        role: `base` or `expert:NAME`.
        files: Local paths by role and name.
        lock: What is pinned.
        layout: What is merged.
    """
    if role != BASE and ADAPTER_WEIGHTS in lock.sources[role].files:
        name = role.removeprefix(EXPERT)
        alone = TaskArithmetic(weight={each: float(each == name) for each in layout.experts})
        return _built(role, alone, files, lock, layout, [BASE, role])
    own = {name: (role, name) for name in files[role]}
    if role != BASE:
        own |= {name: (BASE, name) for name in files_to_borrow(files[role], files[BASE])}
    content = {name: lock.sources[where].files[there].digest for name, (where, there) in own.items()}
    return Model(role, json_digest(content), {name: files[where][there] for name, (where, there) in own.items()})


def backbone_model(method: Method, files: "Files", lock: Lock, layout: Layout) -> Model:
    """What a candidate of ARM's pool is before neurons are transplanted."""
    return _built(BACKBONE, method, files, lock, layout, [*lock.sources])


def merged_model(directory: Path, records: Mapping[str, FileRecord]) -> Model:
    """The merge: the files that a report names, but for those about itself."""
    names = [name for name in records if not name.startswith("ramekin/")]
    content = {name: records[name].sha256 for name in sorted(names)}
    return Model(MERGE, json_digest({"merge": content}), {name: directory / name for name in names})


def _built(name: str, method: Method, files: "Files", lock: Lock, layout: Layout, roles: list[str]) -> Model:
    """A model whose weights have to be written, with the base's other files."""
    beside = files_to_copy(files[BASE])
    content = {
        "semantics": SEMANTICS,
        "method": method.model_dump(mode="json"),
        "experts": [*layout.experts],
        "sources": {role: {n: f.digest for n, f in sorted(lock.sources[role].files.items())} for role in roles},
        "types": {task.name: task.dtype for shard in layout.shards for task in shard.tensors},
    }
    return Model(name, json_digest(content), {each: files[BASE][each] for each in beside}, method)


@contextmanager
def laid_out(
    model: Model, files: "Files", layout: Layout, staging: Path | None, means: "Means | None"
) -> Iterator[Path]:
    """A directory that a model can be run from, for as long as the block lasts.

    Args:
        model: The model.
        files: Local paths by role and name.
        layout: What is merged.
        staging: Where the merge is written: weights that have to be written are written below it.
        means: What to work with, for those.

    Raises:
        ResourceError: The disk is full.
    """
    if model.method is None:
        with assembled(model.files, model.name.replace(":", "-")) as directory:
            yield directory
        return
    assert staging is not None  # noqa: S101 - whoever has no room for it does not ask
    from ramekin.merge.engine import merge_weights
    from ramekin.merge.files import AtHand

    place = staging / _BUILT
    shutil.rmtree(place, ignore_errors=True)  # what a kill has left
    try:
        place.mkdir(parents=True)
        written = merge_weights(layout, AtHand(files), model.method, place, means=means).files
        whole = dict(model.files) | {name: place / name for name in written}
        with assembled(whole, model.name.replace(":", "-")) as directory:
            yield directory
    finally:
        shutil.rmtree(place, ignore_errors=True)
