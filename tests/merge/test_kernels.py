"""What the kernels for a GPU become, as far as that can be seen without one: compiled, and read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXACT = {"abs.f32", "cvt.f32.f16", "cvt.f64.f32"}
ROUNDED_ONCE = {f"{name}.rn.{of}" for name in ("add", "sub", "mul", "div") for of in ("f32", "f64")} | {
    "cvt.rn.f16.f32"
}
KERNELS = {
    "_count_patterns",
    "_merge_ram",
    "_merge_average",
    "_merge_sum",
    "_multiply",
    "_count_magnitudes",
    "_count_equals",
    "_merge_trimmed",
    "_merge_dropped",
    "_merge_dropped_and_elected",
}


def instructions(tmp_path: Path, capability: int, how: str, *kernels: str) -> dict[str, set[str]]:
    """By kernel, what its code for a GPU does with floats."""
    done = subprocess.run(
        [sys.executable, HERE / "machine_code.py", str(capability), how, *kernels],
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr[-3000:]
    return {name: set(found) for name, found in json.loads(done.stdout).items()}


@pytest.mark.slow
def test_every_operation_on_a_gpu_rounds_once_and_none_is_fused(tmp_path: Path) -> None:
    found = instructions(tmp_path, 90, "exact")
    assert found.keys() == KERNELS
    for name, used in found.items():
        assert used <= EXACT | ROUNDED_ONCE, name
    assert {"add.rn.f32", "mul.rn.f32"} <= found["_merge_ram"]
    assert {"add.rn.f64", "mul.rn.f64"} <= found["_multiply"]
    assert "div.rn.f32" in found["_merge_trimmed"]


@pytest.mark.slow
def test_a_compiler_that_may_fuse_does(tmp_path: Path) -> None:
    """So the test above would see it."""
    found = instructions(tmp_path, 80, "fuse", "_merge_ram")
    assert "fma.rn.f32" in found["_merge_ram"]
