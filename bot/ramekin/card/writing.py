"""The card and the plots of a merged directory, written from what it says about itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from ramekin.atomic import write_atomically
from ramekin.card.plots import PLOTS, render_plots
from ramekin.card.rendering import render_card
from ramekin.card.template import CardTemplate, kept_template, render_template
from ramekin.errors import DamagedError
from ramekin.lock.file import read_lock
from ramekin.lock.model import Lock
from ramekin.manifest.model import CardTexts
from ramekin.manifest.reading import read_manifest
from ramekin.markdown import HUB
from ramekin.report import (
    LOCK_COPY,
    MANIFEST_COPY,
    Report,
    read_report,
)

CARD_NAME: Final = "README.md"
PLOTS_NAME: Final = "ramekin/plots"


def write_card(directory: Path, endpoint: str = HUB, template: CardTemplate | Literal["kept"] | None = "kept") -> Path:
    """Render card and plots of a merged directory from its report, manifest and lock.

    Args:
        directory: What `merge` wrote.
        endpoint: The Hub that repositories are linked to.
        template: The manifest's own template, if it names one; `kept`: the copy that the directory has of it.

    Returns:
        The card.

    Raises:
        DamagedError: The report is missing or damaged, the lock is missing, or they are from different merges.
        ManifestError: The manifest cannot be read.
        TemplateError: Its template has a mistake.
        LockError: The lock cannot be read.
        IncompatibleError: The licence that the manifest names does not meet those of the sources.
        ResourceError: The disk is full.
    """
    report = read_report(directory)
    manifest = read_manifest(directory / MANIFEST_COPY).manifest
    lock = read_lock(directory / LOCK_COPY)
    if lock is None:
        raise DamagedError(f"{directory / LOCK_COPY} does not exist", "merge again, or restore the file")
    if template == "kept":
        template = kept_template(directory) if manifest.card.template else None
    body = _own_body(template, manifest.card, lock, endpoint) if template else None
    plots = render_plots(report)
    texts = {CARD_NAME: render_card(report, manifest.card, lock, endpoint, body)}
    texts |= {f"{PLOTS_NAME}/{name}": plot for name, plot in plots.items()}
    # The card last: it shows the plots.
    for name, text in reversed(texts.items()):
        write_atomically(directory / name, text.encode())
    for name in PLOTS - plots.keys():  # what the report had something for once, and has no more
        (directory / PLOTS_NAME / name).unlink(missing_ok=True)
    return directory / CARD_NAME


def _own_body(template: CardTemplate, texts: CardTexts, lock: Lock, endpoint: str) -> Callable[[Report], str]:
    return lambda report: render_template(template, report, texts, lock, endpoint)
