"""An embedded Hub and a loopback GitHub for every module, and a fresh repository for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_steps import Live, live, opened
from tests.github.loopback import Loopback

from ramekin.hub import Hub


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Loopback]]:
    with opened(tmp_path_factory.mktemp("services")) as both:
        yield both


@pytest.fixture
def stage(services: tuple[Hub, Loopback], tmp_path: Path) -> Iterator[Live]:
    with live(*services, tmp_path) as made:
        yield made
