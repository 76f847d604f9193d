#!/usr/bin/env python3
"""What .github/workflows/release.yml needs to know of a release: its notes, its commit, its major version.

notes TAG         print what CHANGELOG.md says of it, once tag and version are the same
stamp COMMIT      write the commit into the package, so that `ramekin init` can pin it
check COMMIT DIR  look that every distribution in DIR has it
major TAG         print the tag that moves along
"""

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bot" / "ramekin"


def notes(tag: str, root: Path = ROOT) -> str:
    """The changelog's section of a version, which must be the package's own."""
    version = re.search(r'^__version__ = "(.+)"$', (root / "bot/ramekin/__init__.py").read_text("utf-8"), re.MULTILINE)
    if not version or tag != f"v{version[1]}":
        sys.exit(f"the tag is {tag}, and the version {version and version[1]}")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    found = re.search(rf"^## \[?{re.escape(version[1])}\b.*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        sys.exit(f"CHANGELOG.md has no section about {version[1]}")
    return found[1].strip()


def stamp(commit: str, package: Path = PACKAGE) -> None:
    """Write the commit into the package."""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        sys.exit(f"{commit!r} is no commit")
    (package / "COMMIT").write_text(f"{commit}\n", "utf-8")


def check(commit: str, directory: Path) -> None:
    """Look that wheel and source distribution both have the commit."""
    stamped = dict(_stamped(directory))
    if sorted(Path(name).suffix for name in stamped) != [".gz", ".whl"]:
        sys.exit(f"a wheel and a source distribution were to be built, not {sorted(stamped)}")
    for name, text in stamped.items():
        if text.strip() != commit:
            sys.exit(f"{name} has the commit {text.strip() or 'nowhere'}")


def major(tag: str) -> str:
    """The tag of the major version."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        sys.exit(f"{tag} is no release")
    return tag.partition(".")[0]


def _stamped(directory: Path) -> Iterator[tuple[str, str]]:
    for path in directory.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            name = "ramekin/COMMIT"
            yield path.name, wheel.read(name).decode() if name in wheel.namelist() else ""
    for path in directory.glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.name.endswith("/bot/ramekin/COMMIT")]
            file = archive.extractfile(members[0]) if members else None
            yield path.name, file.read().decode() if file else ""


def main(arguments: list[str]) -> None:
    """Do what the first argument names."""
    match arguments:
        case ["notes", tag]:
            print(notes(tag))
        case ["stamp", commit]:
            stamp(commit)
        case ["check", commit, directory]:
            check(commit, Path(directory))
        case ["major", tag]:
            print(major(tag))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
