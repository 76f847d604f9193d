"""`ramekin verify` and `ramekin sign`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ramekin.cli.options import command_options
from ramekin.workbench import Workbench

if TYPE_CHECKING:
    from ramekin.attestation.checking import Trust


@click.command()
@click.argument("subject", metavar="REPO[@REV]|DIR")
@click.option("--remerge", is_flag=True, help="Derive the weights again from the lock, and compare bits.")
@click.option("--load", is_flag=True, help="Load the model, and let it answer once.")
@click.option("--attestation", is_flag=True, help="Check the signed attestation; needs one of the following.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Key that it must be signed with, as PEM.")
@click.option("--identity", help="Identity that Sigstore must have signed it for; with --issuer.")
@click.option("--issuer", help="Who vouched for that identity, as an address.")
@command_options
def verify(
    bench: Workbench,
    subject: str,
    *,
    remerge: bool,
    load: bool,
    attestation: bool,
    **whose: Any,
) -> None:
    """Check every file of a published or local merge against its report's digests."""
    from ramekin.verify.verdict import show_verdict
    from ramekin.verify.verifying import Wishes, verify_merge

    trust = _trust(**whose)
    if attestation and trust is None:
        raise click.UsageError("--attestation needs --public-key, or --identity and --issuer")
    verdict = verify_merge(bench, subject, Wishes(remerge, load, trust))
    bench.terminal.result(show_verdict(verdict), verdict.to_data())
    verdict.check()


def _trust(public_key: Path | None, identity: str | None, issuer: str | None) -> "Trust | None":
    """Whose signature was asked for."""
    if (identity is None) != (issuer is None) or (identity and public_key):
        raise click.UsageError("--identity and --issuer go together, and not with --public-key")
    if public_key is None and identity is None:
        return None
    from ramekin.attestation.checking import identity_trust, key_trust

    return key_trust(public_key) if public_key else identity_trust(identity or "", issuer or "")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--key", type=click.Path(path_type=Path), help="Private key to sign with, as PEM.")
@click.option("--keyless", is_flag=True, help="Sign by the identity of this CI job, through Sigstore.")
@command_options
def sign(bench: Workbench, directory: Path, *, key: Path | None, keyless: bool) -> None:
    """Sign key, lock and files of the merge in DIR, after checking them; `publish` takes the attestation along."""
    from ramekin.attestation.signing import sign_directory, signer_for
    from ramekin.attestation.statement import ATTESTATION, Statement

    signer = signer_for(bench, key, keyless=keyless)
    if signer is None:
        raise click.UsageError("give --key, or --keyless")
    report = sign_directory(directory, signer)
    path = directory / ATTESTATION
    files = len(Statement.of(report).files)
    data = {"attestation": str(path), "key": report.key, "files": files, "by": signer.by}
    bench.terminal.result(f"signed by {signer.by}: key, lock and {files} files\n  {path}\n{report.key}", data)
