"""A Hub per test; client processes that talk to it are in `hub_drive`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramekin.hub import Hub, serve


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve(tmp_path / "hub") as running:
        yield running
