"""What would change against what is published."""

from collections.abc import Iterator

from ramekin.lock.model import Lock, PinnedSource
from ramekin.manifest.model import Manifest
from ramekin.methods.base import show_value
from ramekin.plan.model import Change
from ramekin.report import Report


def changes_between(report: Report | None, lock: Lock, manifest: Manifest) -> tuple[Change, ...]:
    """Every difference in sources and method between a published merge and a planned one."""
    if report is None:
        return ()
    return (*_sources(report, lock), *_method(report, manifest))


def _sources(report: Report, lock: Lock) -> Iterator[Change]:
    old = {"base": report.base} | {expert.name: expert for expert in report.experts}
    new = {"base": lock.base} | lock.experts
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        was = f"{before.source}@{before.commit[:7]}" if before else None
        is_now = f"{after.source}@{after.commit[:7]}" if after else None
        if (before and (before.source, before.commit)) != (after and (after.source, after.commit)):
            url = _compare(before.commit, after) if before else None
            yield Change(subject=name, old=was, new=is_now, url=url)


def _compare(old: str, new: PinnedSource | None) -> str | None:
    if new is None or new.kind != "hub":
        return None
    return f"{new.source}/compare/{old}..{new.commit}"


def _method(report: Report, manifest: Manifest) -> Iterator[Change]:
    old = report.method.parameters() | {"name": report.method.name}
    new = manifest.method.parameters() | {"name": manifest.method.name}
    for name in dict.fromkeys(["name", *old, *new]):
        if (name in old, old.get(name)) != (name in new, new.get(name)):
            was, is_now = (show_value(each[name]) if name in each else None for each in (old, new))
            yield Change(subject=f"method.{name}", old=was, new=is_now)
