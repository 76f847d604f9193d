"""Read a manifest: from a file to a validated `Manifest`, or to all of its problems at once, each with its line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ramekin.errors import ManifestError, Problem
from ramekin.manifest.agreement import disagreements
from ramekin.manifest.document import Document, read_document
from ramekin.manifest.model import Manifest
from ramekin.manifest.nodes import MAX_BYTES, DocumentError, Flaw
from ramekin.manifest.wording import flaw_of
from ramekin.text import printable

# Nobody reads more, and a suggestion for each of a thousand unknown keys takes its time.
_MAX_PROBLEMS: Final = 50


@dataclass(frozen=True)
class LoadedManifest:
    """A manifest and where each of its keys stands.

    Attributes:
        manifest: What it says.
        path: The file.
        text: The file's text.
        lines: Line of every key and list entry by its dotted path, such as `experts.coder.repo` or `card.language.0`.
    """

    manifest: Manifest
    path: Path
    text: str
    lines: Mapping[str, int]

    def line(self, path: str) -> int:
        """Line of the key at a dotted path, or of the nearest key above it that is written."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, 1)

    @property
    def directory(self) -> Path:
        """What local sources are relative to."""
        return self.path.parent


def read_manifest(path: Path) -> LoadedManifest:
    """Read and check a manifest. Nothing but the file itself is looked at.

    Raises:
        ManifestError: It cannot be read, is not YAML, or is not a manifest; with every problem that was found.
    """
    text = _text(path)
    try:
        document = read_document(text)
    except DocumentError as error:
        raise _error([error.flaw], path) from error
    flaws = list(document.flaws)
    manifest = None
    try:
        manifest = Manifest.model_validate(document.data, strict=True)
    except ValidationError as error:
        flaws += _validator_flaws(error, document)
    flaws += islice(disagreements(document, path.parent), _MAX_PROBLEMS + 1)
    if flaws or manifest is None:
        raise _error(flaws, path)
    return LoadedManifest(manifest, path, text, document.lines)


def _text(path: Path) -> str:
    shown = printable(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ManifestError(f"there is no manifest at {shown}", "write one, or start from `ramekin init`") from error
    except IsADirectoryError as error:
        hint = "name the file itself, such as `merge.yaml`; `ramekin init` writes one"
        raise ManifestError(f"{shown} is a directory, not a manifest", hint) from error
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = printable(getattr(error, "strerror", None) or error)
        hint = "check the path and its permissions, or start from `ramekin init`"
        raise ManifestError(f"the manifest {shown} cannot be read: {reason}", hint) from error
    if len(content) > MAX_BYTES:
        flaw = Flaw(
            f"the file is larger than {MAX_BYTES // 1000} kB", "a manifest is a page of text; check the path", 1
        )
        raise _error([flaw], path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        flaw = Flaw(f"the file is not UTF-8 text: byte 0x{content[error.start]:02x}", "save it as UTF-8", line)
        raise _error([flaw], path) from error


def _validator_flaws(error: ValidationError, document: Document) -> Iterator[Flaw]:
    """Word the validator's errors, except those about a key that the document has already been blamed for."""
    blamed = {flaw.path for flaw in document.flaws if flaw.path}
    for details in error.errors(include_url=False)[: _MAX_PROBLEMS + 1]:
        flaw = flaw_of(details, document)
        if not any(flaw.path == path or (flaw.path or "").startswith(f"{path}.") for path in blamed):
            yield flaw


def _error(flaws: list[Flaw], path: Path) -> ManifestError:
    unique = list({(flaw.line, flaw.what): flaw for flaw in flaws}.values())
    unique.sort(key=lambda flaw: flaw.line)
    problems = [Problem(flaw.what, flaw.hint, path, flaw.line) for flaw in unique[:_MAX_PROBLEMS]]
    if len(unique) > _MAX_PROBLEMS:
        more = f"and more problems; these are the first {_MAX_PROBLEMS}"
        problems.append(Problem(more, "start again from `ramekin init`", path, unique[_MAX_PROBLEMS].line))
    return ManifestError(problems=problems)
