"""xet storage on loopback: the client's own library, with a directory of ours in place of the storage servers.

The library takes `local://` addresses and then keeps everything below a directory, whose index only one process may
have open. So every token names a directory of its own: an empty one to write to, from which a commit takes the files
that it names; and to read from, a clone of one that was made for the commit. The files themselves are kept whole, as
all others are, and can be had by plain GET too.
"""

import hashlib
import os
import secrets
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from ramekin.hub import uploads
from ramekin.hub.blobs import copy_hashing
from ramekin.hub.calls import Call, Parts, answer
from ramekin.hub.records import Entry
from ramekin.hub.refusal import Refusal
from ramekin.hub.repository import Repository
from ramekin.hub.store import Store

_DAY: Final = 86400
_RECORD: Final = 48
_HASH: Final = struct.Struct("<4Q")
_WITH_VERIFICATION: Final = 1 << 31
_WITH_METADATA: Final = 1 << 30
_CLONING: Final = threading.Lock()


def write_token(call: Call) -> Response:
    """`GET …/xet-write-token/{rev}`: an empty directory to upload into."""
    _check_offered(call)
    unnamed = call.params["rev"] == "None"  # a pull request that has no number yet
    repository = call.repository() if unnamed else uploads.target(call)
    directory = _staging(call.store) / secrets.token_hex(8)
    directory.mkdir(parents=True)
    (directory / "repo").write_text(repository.info.api)
    return _token(directory / "cas")


def read_token(call: Call) -> Response:
    """`GET …/xet-read-token/{rev}`: a directory that holds the commit's files."""
    _check_offered(call)
    repository = call.readable()
    commit = call.commit(repository)
    entries = [entry for entry in repository.tree(commit).values() if entry.xet]
    prepared = _root(call.store) / "commits" / commit.id
    clone = _root(call.store) / "readers" / secrets.token_hex(8)
    with _CLONING:
        if not prepared.is_dir():
            _prepare(call.store, entries, prepared)
        _clone(prepared, clone)
    return _token(clone)


def claim(hub: Parts, repository: Repository, sha256: str) -> None:
    """Take a large file out of the directories that were handed out for this repository, if it is in one of them.

    Raises:
        Refusal: 400 if what was uploaded has another digest than it says.
    """
    if not hub.options.xet:
        return
    for directory in _staging(hub.store).glob("*"):
        if (directory / "repo").read_text() != repository.info.api:
            continue
        found = dict(_catalogue(directory / "cas")).get(sha256)
        if found is not None:
            _extract(hub.store, directory / "cas", sha256, found)
            repository.note_upload(sha256, found[0])
            return


def sweep(store: Store) -> None:
    """Remove what no client can need any more: all clones, and uploads that nobody committed for a day."""
    shutil.rmtree(_root(store) / "readers", ignore_errors=True)
    for directory in _staging(store).glob("*"):
        if time.time() - directory.stat().st_mtime > _DAY:
            shutil.rmtree(directory)


def _check_offered(call: Call) -> None:
    if not call.hub.options.xet:
        raise Refusal(404, "This Hub does not offer xet storage")


def _root(store: Store) -> Path:
    return store.root / "xet"


def _staging(store: Store) -> Path:
    return _root(store) / "staging"


def _token(directory: Path) -> Response:
    """The token twice: the library reads the body, the Python client the headers."""
    expires = int(time.time()) + _DAY
    facts = {"casUrl": f"local://{directory}", "accessToken": secrets.token_urlsafe(16), "exp": expires}
    headers = {
        "X-Xet-Cas-Url": str(facts["casUrl"]),
        "X-Xet-Access-Token": str(facts["accessToken"]),
        "X-Xet-Token-Expiration": str(expires),
    }
    return answer(facts, headers=headers)


def _session() -> Any:
    from hf_xet import XetSession

    return XetSession()


def _extract(store: Store, cas: Path, sha256: str, found: tuple[str, int]) -> None:
    """Put a file together from its chunks, and keep it whole."""
    from hf_xet import XetFileInfo

    xet_hash, size = found
    clone = cas.parent / f"clone-{secrets.token_hex(4)}"
    _clone(cas, clone)
    try:
        with store.blobs.draft() as draft:
            with _session().new_file_download_group(endpoint=f"local://{clone}") as group:
                group.start_download_file(XetFileInfo(xet_hash, size), str(draft))
            digest = hashlib.sha256()
            with draft.open("rb") as file, Path(os.devnull).open("wb") as nowhere:
                copy_hashing(file, nowhere, digest)
            if digest.hexdigest() != sha256:
                raise Refusal(400, f"The upload has not the sha256 that it was announced with: {sha256}")
            store.blobs.keep(draft, sha256)
    finally:
        shutil.rmtree(clone)


def _prepare(store: Store, entries: list[Entry], directory: Path) -> None:
    """Make the directory for a commit: cut its files into chunks again. Chunking is a function of the content."""
    draft = directory.with_name(f"{directory.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with _session().new_upload_commit(endpoint=f"local://{draft}") as upload:
        for entry in entries:
            upload.start_upload_file(str(store.blobs.path(entry.sha256)), sha256=entry.sha256)
    draft.rename(directory)


def _clone(source: Path, target: Path) -> None:
    """Copy a storage directory: links to the chunks, which never change, and a copy of the index."""
    chunks = source / "xet" / "xorbs" / "xorbs"
    shutil.copytree(source, target, ignore=lambda folder, names: names if Path(folder) == chunks else ())
    for chunk in chunks.glob("*"):
        os.link(chunk, target / chunk.relative_to(source))


def _catalogue(cas: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    """sha256, xet hash and size of every file that the shards of a storage directory describe."""
    for shard in (cas / "xet" / "xorbs" / "shards").glob("*.mdb"):
        yield from _files_of_shard(shard.read_bytes())


def _files_of_shard(data: bytes) -> Iterator[tuple[str, tuple[str, int]]]:
    """Read the file section of a shard: for every file a head, its segments, and after them what else is known."""
    at = _RECORD
    while at + _RECORD <= len(data):
        head = data[at : at + _RECORD]
        if head[:32] == b"\xff" * 32:
            return
        flags, count = struct.unpack_from("<II", head, 32)
        size = sum(struct.unpack_from("<I", data, at + _RECORD * (step + 1) + 36)[0] for step in range(count))
        at += _RECORD * (1 + count * (2 if flags & _WITH_VERIFICATION else 1))
        if flags & _WITH_METADATA:
            yield _hash_text(data[at : at + 32]), (_hash_text(head[:32]), size)
            at += _RECORD


def _hash_text(raw: bytes) -> str:
    """A hash as it is written: four little-endian words of 64 bits, each as a number."""
    return "".join(f"{word:016x}" for word in _HASH.unpack(raw))
