"""The road from a manifest to a published merge, top to bottom.

    manifest -> lock -> plan, approved -> fetch -> merge, measured, with card and report -> gate -> publish

Each stage is a module of its own; what branches, branches inside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ramekin.evaluation.gate import check_gate
from ramekin.merge.stage import merge_prepared
from ramekin.plan.model import Plan
from ramekin.preparing import Prepared, Request, prepare, untrusted, with_template
from ramekin.publish.committing import Published
from ramekin.publish.release import Release
from ramekin.report import Report
from ramekin.workbench import Workbench


@dataclass(frozen=True)
class Outcome:
    """What a run did: the plan it followed, and what it merged and published, if anything."""

    plan: Plan
    report: Report | None = None
    directory: Path | None = None
    published: Published | None = None


Merging = Callable[[Workbench, Request, Prepared, Release], Outcome]


def merge_here(bench: Workbench, request: Request, prepared: Prepared, release: Release) -> Outcome:
    """Fetch, merge, measure and publish, in this process."""
    with release.place() as out:
        report = merge_prepared(
            bench, prepared, out, device=request.device, replace=release.replaces, shelf=release.shelf
        )
        check_gate(prepared.loaded.manifest, report, request.out)
        if request.signer:
            request.signer.write(out, report)
        return Outcome(prepared.plan, report, request.out, release.publish(out, report))


def run(bench: Workbench, request: Request, merge: Merging = merge_here) -> Outcome:
    """The main job: plan, merge, card, publish; or nothing, if the Hub holds the result already.

    Args:
        bench: The tools.
        request: What was asked for.
        merge: Fetches, merges and publishes what is planned, and may be published; here, or elsewhere.
    """
    prepared = prepare(bench, request, publishes=True)
    request.approve(prepared.plan)
    prepared.check()
    prepared = with_template(prepared) if request.trusted else untrusted(prepared)
    release = Release(bench, request, prepared)
    plan = prepared.plan
    action = "publish" if request.force else plan.action
    if request.signer and action != "publish":
        bench.terminal.note("nothing is merged, and so nothing signed; --force does both anew")
    if action == "nothing":
        return Outcome(plan, published=release.held())
    release.check_access()
    if found := release.waiting():
        return Outcome(plan, published=found)
    if action == "card":
        return Outcome(plan, published=release.publish_card())
    return merge(bench, request, prepared, release)
