"""Names for what belongs to one manifest: a branch, a directory."""

import hashlib
import re
from pathlib import Path
from typing import Final

_LONGEST: Final = 60


def slug(manifest: Path) -> str:
    """A name of its own for every path: what can be read of it, and a few digits of its digest."""
    path = manifest.as_posix()
    readable = re.sub(r"[^a-z0-9]+", "-", path.lower().removesuffix(manifest.suffix.lower())).strip("-")
    digits = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{readable[:_LONGEST].strip('-') or 'manifest'}-{digits}"
