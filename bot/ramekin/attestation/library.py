"""The one place where `model-signing` is called: it signs and checks digests that are known, and reads no weights.

It hashes a directory by itself. Here it is given what the report says instead: `verify` has compared that with the
files already, the weights of a published merge need not be downloaded, and in low-disk mode they are gone when the
merge is signed. What it writes is the same, so that its own command line verifies a downloaded merge too.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from model_signing import hashing, manifest, signing, verifying
from model_signing._hashing.hashing import Digest

from ramekin.attestation.statement import UNSIGNED, Statement

SigningConfig = signing.Config
VerifyingConfig = verifying.Config


class KnownDigests(hashing.Config):
    """Stands where the library hashes.

    Attributes:
        asked: Whether it was asked for the digests. While verifying, it is only once the signature was found good.
    """

    def __init__(self, statement: Statement) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._statement = statement
        self.asked = False

    def hash(self, model_path: object, *, files_to_hash: object = None) -> manifest.Manifest:
        """The digests as the library keeps them."""
        self.asked = True
        files: Mapping[str, str] = self._statement.files
        items = [
            manifest.FileManifestItem(path=PurePosixPath(name), digest=Digest("sha256", bytes.fromhex(sha256)))
            for name, sha256 in files.items()
        ]
        settings: dict[str, Any] = {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [*UNSIGNED],
        }
        return manifest.Manifest(self._statement.key, items, manifest.SerializationType.from_args(settings))

    def add_ignored_paths(self, *, model_path: object, paths: object) -> None:
        """What a signature asks to be ignored is not: which files need one is ours to say."""


def sign(config: SigningConfig, statement: Statement, path: Path) -> None:
    """Sign a statement, and write the bundle."""
    config.set_hashing_config(KnownDigests(statement))
    config.sign(path.parent, path)


def verify(config: VerifyingConfig, statement: Statement, path: Path) -> bool:
    """Check that a bundle's signature is good and its statement this one.

    Returns:
        Whether the statement is this one.

    Raises:
        Exception: The signature is not good; the library raises what it likes.
    """
    known = KnownDigests(statement)
    config.set_hashing_config(known)
    try:
        config.verify(path.parent, path)
    except ValueError:
        if known.asked:
            return False
        raise
    return True
