"""Files from wherever they are kept, under the names that libraries look for."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def assembled(files: Mapping[str, Path], called: str = "model") -> Iterator[Path]:
    """A directory with links to files, for as long as the block lasts.

    Args:
        files: The files by their path in the directory.
        called: Its own name.
    """
    with tempfile.TemporaryDirectory(prefix="ramekin-model-") as temporary:
        directory = Path(temporary) / called
        directory.mkdir()
        for name, path in files.items():
            place = directory / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.absolute())
        yield directory
