"""What travels to a job: the manifest, its lock, the small local files that it names, and the command's options."""

import base64
import hashlib
import io
import json
import lzma
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ramekin import __version__
from ramekin.environment import Environment
from ramekin.errors import Problem, UsageError
from ramekin.jobs.message import new_mark
from ramekin.lock.file import lock_path
from ramekin.manifest.model import Manifest
from ramekin.manifest.reading import LoadedManifest
from ramekin.plan.quantities import size
from ramekin.preparing import Prepared, Request
from ramekin.text import printable
from ramekin.workbench import Workbench

MOST: Final = 300_000
"""Bytes of packed files that travel at most: they are a part of what the Hub keeps of a job."""
_PIECE: Final = 90_000
"""Characters of one variable; a system takes no longer one than 128 KiB."""
_MOST_FILES: Final = 1000
_LARGEST: Final = 32 << 20
"""Bytes of a file that are looked at, before packing."""
_HUB_FIRST: Final = "put it on the Hub and name it there, or run it here: leave out --on"


@dataclass(frozen=True)
class Parcel:
    """What a job is given.

    Attributes:
        mark: Delimiter of what it sends back.
        digest: Tells whether another job does the same.
        environment: Its variables; nothing secret is among them.
    """

    mark: str
    digest: str
    environment: dict[str, str]


def check_can_travel(loaded: LoadedManifest, request: Request) -> None:
    """Refuse what cannot be had, or must not be done, where a job runs; before anything is asked of the Hub.

    Raises:
        UsageError: All such things at once.
    """
    problems = [*_about_the_request(request), *_about_sources(loaded)]
    manifest = loaded.manifest
    if not request.trusted and (manifest.evaluate or manifest.gate or manifest.card.template):
        what = "a job would run programs and templates that the manifest names, and this manifest is not to be trusted"
        problems.append(Problem(what, "merge the pull request: the run after it may go anywhere", loaded.path))
    if problems:
        raise UsageError(problems=problems)
    for name in _local_files(loaded):
        _read(loaded, name)


def pack(bench: Workbench, prepared: Prepared, request: Request) -> Parcel:
    """Pack what a job needs.

    Args:
        bench: The tools; the job is as patient and as talkative as they are.
        prepared: What was planned; the job gets the very lock that the plan is of.
        request: What was asked for.

    Raises:
        UsageError: It is too much, or lies where it cannot be taken along from.
    """
    loaded = prepared.loaded
    files = {loaded.path.name: loaded.text.encode(), lock_path(loaded.path).name: prepared.lock.to_json().encode()}
    files |= {name: _read(loaded, name) for name in _local_files(loaded)}
    runnable = frozenset(name for name in files if os.access(loaded.directory / name, os.X_OK))
    packed = _packed(files, runnable)
    if len(packed) > MOST:
        what = f"what the manifest names in local files comes to {size(len(packed))}, and {size(MOST)} can travel"
        raise UsageError(problems=[Problem(what, _HUB_FIRST, loaded.path)])
    text = base64.b64encode(packed).decode()
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    mark, arguments = new_mark(), _arguments(loaded.path, request)
    # Not of the packed bytes, which another version of a library may pack another way.
    content = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    identity = json.dumps([__version__, prepared.plan.target.repo, arguments, content])
    talk = ["--verbose"] if bench.terminal.verbosity > 0 else []
    extra, needed = ("eval", "lm_eval") if _asks_the_harness(loaded.manifest) else ("merge", "torch")
    environment = {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # a log is no terminal
        "RAMEKIN_JOB_VERSION": __version__,
        "RAMEKIN_JOB_EXTRA": extra,
        "RAMEKIN_JOB_NEEDS": needed,
        "RAMEKIN_JOB_MARK": mark,
        "RAMEKIN_JOB_ARGUMENTS": json.dumps([arguments[0], *talk, *arguments[1:]]),
        "RAMEKIN_JOB_FILES": str(len(pieces)),
        **{f"RAMEKIN_JOB_FILES_{number}": piece for number, piece in enumerate(pieces)},
    }
    if bench.environment.retry_wait != Environment.retry_wait:
        environment["RAMEKIN_RETRY_WAIT"] = f"{bench.environment.retry_wait:g}"
    return Parcel(mark, hashlib.sha256(identity.encode()).hexdigest()[:40], environment)


def _about_the_request(request: Request) -> Iterator[Problem]:
    if request.signer:
        what = "a job on the Hub has neither your private key nor the identity of this one to sign with"
        yield Problem(what, "leave out the signature, and `ramekin sign` a downloaded copy; or run it here")
    if request.out:
        yield Problem(f"--out {printable(request.out)} cannot be written by a job on the Hub", "leave it out")


def _about_sources(loaded: LoadedManifest) -> Iterator[Problem]:
    for role, source in loaded.manifest.sources.items():
        if source.path is not None:
            name = role.removeprefix("expert:")
            what = f"{name}: {printable(source.path)} is a local directory, which does not travel"
            hint = f"upload it, `hf upload NAMESPACE/NAME {printable(source.path)}`, and name that; or leave out --on"
            key = role.replace("expert:", "experts.")
            yield Problem(what, hint, loaded.path, loaded.line(key))


def _asks_the_harness(manifest: Manifest) -> bool:
    return manifest.evaluate is not None and manifest.evaluate.command is None


def _arguments(manifest: Path, request: Request) -> list[str]:
    """The command that the job runs."""
    allowed = request.allowed
    flags = {
        "--pr": request.pull_request,
        "--force": request.force,
        "--low-disk": request.low_disk,
        "--adopt": allowed.adopt,
        "--allow-private-sources": allowed.private_sources,
    }
    arguments = ["run", "--locked", "--json", *(flag for flag, given in flags.items() if given)]
    if allowed.namespaces is not None:
        arguments.append(f"--allowed-namespaces={','.join(sorted(allowed.namespaces))}")
    return [*arguments, f"--device={request.device}", "--", manifest.name]


def _local_files(loaded: LoadedManifest) -> list[str]:
    """Paths of the local files that the manifest names, relative to it, each once; directories with all in them."""
    manifest = loaded.manifest
    named = [reference.file for reference in manifest.data.values() if reference.repo is None]
    if manifest.card.template:
        named.append(manifest.card.template)
    if evaluate := manifest.evaluate:
        named += [*evaluate.reads, *([evaluate.include] if evaluate.include else [])]
        named += [word for word in evaluate.command or () if word and _is_file(loaded.directory / word)]
    programs = {*(manifest.evaluate.command or ())} if manifest.evaluate else set()
    found: dict[str, None] = {}
    for name in named:
        for path in _below(loaded.directory / name):
            inside = _inside(loaded.directory, path) if not name.startswith(("/", "~")) else None
            if inside:
                found[inside] = None
            elif name not in programs:  # of those the system has its own, such as /bin/sh
                what = f"`{printable(name)}` is outside of the manifest's directory, and does not travel"
                raise UsageError(problems=[Problem(what, "put it beside the manifest, or leave out --on", loaded.path)])
            if len(found) > _MOST_FILES:
                what = f"`{printable(name)}` has more than {_MOST_FILES:,} files, which do not travel"
                raise UsageError(problems=[Problem(what, _HUB_FIRST, loaded.path)])
    return [*found]


def _inside(directory: Path, path: Path) -> str | None:
    """The path as it is relative to a directory; None if it leads out of it, be it by a link."""
    if not path.resolve().is_relative_to(directory.resolve()):
        return None
    relative = os.path.relpath(path, directory)
    return None if relative.startswith("..") else relative


def _below(path: Path) -> Iterable[Path]:
    """A file, or all files of a directory."""
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read(loaded: LoadedManifest, name: str) -> bytes:
    try:
        with (loaded.directory / name).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        reason = printable(error.strerror or str(error))
        problem = Problem(f"`{printable(name)}` cannot be read: {reason}", "check the file", loaded.path)
        raise UsageError(problems=[problem]) from error
    if len(data) > _LARGEST:
        what = f"`{printable(name)}` is larger than {size(_LARGEST)}, and does not travel"
        raise UsageError(problems=[Problem(what, _HUB_FIRST, loaded.path)])
    return data


def _packed(files: dict[str, bytes], runnable: frozenset[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            record = tarfile.TarInfo(name)
            record.size, record.mode = len(data), 0o755 if name in runnable else 0o644
            archive.addfile(record, io.BytesIO(data))
    return lzma.compress(buffer.getvalue())
