"""`from_pretrained` works against the embedded Hub, with shards."""

from pathlib import Path

import pytest
from hub_drive import drive

from ramekin.hub import Hub


@pytest.mark.slow
def test_from_pretrained(hub: Hub, tmp_path: Path) -> None:
    found = drive(hub.env(tmp_path / "home"), "scenario_transformers")["round_trip"]
    assert "value" in found, found
    shards = found["value"].pop("shards")
    assert shards > 1
    assert found["value"] == {"same": True, "type": "llama", "sharded": True, "parameters": True, "counted": True}
