"""A Hub in this process, and merged directories to publish there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from shops import GUEST, Shop

from ramekin.hub import DEMO, Hub, serve


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The Hub's client is out of step with the HTTP library that it uses."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub"), users=(DEMO, GUEST)) as running, pytest.MonkeyPatch.context() as patch:
        # Read when the client is imported, from an environment that knew nothing of this Hub.
        patch.setattr(constants, "ENDPOINT", running.url)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        patch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield running


@pytest.fixture
def shop(hub: Hub, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    hub.faults.clear()
    hub.log.clear()
    name = f"agent-{abs(hash(request.node.name)):x}"
    made = Shop(hub, tmp_path / "merged", tmp_path / "home", f"demo/{name}")
    made.place()
    yield made
    hub.faults.clear()
