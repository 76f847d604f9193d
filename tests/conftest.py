"""What holds for all tests."""

import pytest

from tests.syncing import no_waiting

pytest_plugins = ["tests.leaks"]


def pytest_configure() -> None:
    """Embedded Hubs, which run in this process, need not outlive a power cut."""
    no_waiting()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slow ones first, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
