"""Checking a merge, as far as was asked for."""

from dataclasses import dataclass

from ramekin.attestation.checking import Trust, check_attestation, claimed
from ramekin.subject import opened
from ramekin.verify.loading import needed_to_load, try_out
from ramekin.verify.remerging import remerge
from ramekin.verify.verdict import Verdict
from ramekin.workbench import Workbench


@dataclass(frozen=True)
class Wishes:
    """What is looked at beside the digests.

    Attributes:
        remerge: Derive the weights again.
        load: Load the model, and let it answer once.
        trust: Whose signature it must have; None if none is asked for.
    """

    remerge: bool = False
    load: bool = False
    trust: Trust | None = None


def verify_merge(bench: Workbench, subject: str, wishes: Wishes) -> Verdict:
    """Check a published or local merge. It is only loaded if its files are those of its report.

    Raises:
        DamagedError: It holds no report.
        SourceError: The repository or, to merge again, a source cannot be had.
        UsageError: What loading needs is not installed.
        ResourceError: There is not enough memory or disk.
    """
    if wishes.load:
        needed_to_load()
    with opened(bench, subject) as found:
        wrong = found.wrong()
        again = remerge(bench, found) if wishes.remerge else {}
        wrong |= {file: what for file, what in again.items() if what and file not in wrong}
        return Verdict(
            found.name,
            found.report.key,
            len(found.report.output.files),
            wrong,
            remerged=len(again),
            attested=check_attestation(found, wishes.trust) if wishes.trust else claimed(found),
            trial=try_out(bench, found) if wishes.load and not wrong else None,
        )
