"""The card and the plots of a merged directory, written from what it says about itself."""

from pathlib import Path
from typing import Final

from ramekin.atomic import write_atomically
from ramekin.card.plots import render_plots
from ramekin.card.rendering import render_card
from ramekin.errors import DamagedError
from ramekin.lock.file import read_lock
from ramekin.manifest.reading import read_manifest
from ramekin.markdown import HUB
from ramekin.report import read_report

CARD_NAME: Final = "README.md"
PLOTS_NAME: Final = "ramekin/plots"
_MANIFEST: Final = "ramekin/merge.yaml"
_LOCK: Final = "ramekin/merge.lock"


def write_card(directory: Path, endpoint: str = HUB) -> Path:
    """Render card and plots of a merged directory from its report, manifest and lock.

    Args:
        directory: What `merge` wrote.
        endpoint: The Hub that repositories are linked to.

    Returns:
        The card.

    Raises:
        DamagedError: The report is missing or damaged, the lock is missing, or they are from different merges.
        ManifestError: The manifest cannot be read.
        LockError: The lock cannot be read.
        IncompatibleError: The licence that the manifest names does not meet those of the sources.
        ResourceError: The disk is full.
    """
    report = read_report(directory)
    manifest = read_manifest(directory / _MANIFEST).manifest
    lock = read_lock(directory / _LOCK)
    if lock is None:
        raise DamagedError(f"{directory / _LOCK} does not exist", "merge again, or restore the file")
    texts = {CARD_NAME: render_card(report, manifest.card, lock, endpoint)}
    texts |= {f"{PLOTS_NAME}/{name}": plot for name, plot in render_plots(report).items()}
    # The card last: it shows the plots.
    for name, text in reversed(texts.items()):
        write_atomically(directory / name, text.encode())
    return directory / CARD_NAME
