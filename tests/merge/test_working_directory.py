"""What lies in the directory that a merge is started in is data: no library takes its settings from there."""

import os
import subprocess
import sys
from pathlib import Path

_COMPILE = """
from ramekin.merge.loops.on_processor import accumulate
assert accumulate.compile()
import numba
print(numba.config.CACHE_DIR or "none")
"""


def test_numba_is_not_configured_by_it(tmp_path: Path) -> None:
    # A cache that lies there already would be unpickled, and so could run anything.
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: compiled\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    for first in ("", "import numba\n"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", first + _COMPILE],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.strip() == "none", first
    assert [path.name for path in tmp_path.iterdir()] == [".numba_config.yaml"]
