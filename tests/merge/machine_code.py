"""Compile kernels as a GPU would have them, without one, and tell what calculates with floats in them; a process.

The loops are run on torch's `cpu` with a driver that only says what the device is, and kernels are compiled instead of
started. Prints a JSON object: for each kernel the instructions on floats that any of its versions has. Arguments: the
GPU's compute capability, whether products may be fused into sums (`fuse`), and names of kernels; all if left out.
"""

import json
import re
import sys

import numpy as np
import torch
from test_on_gpu import results, sources
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from ramekin.merge.arrays import BF16, CHANGE, F16, F32
from ramekin.merge.loops import on_gpu
from ramekin.merge.loops.on_gpu import lanes

FLOAT = re.compile(
    r"^\s+(?:@\S+\s+)?((?!ld|st|mov|selp|setp|cvt\.\w+\.f16x2|atom|red)[\w.]+\.(?:f16|f32|f64|bf16)\w*)", re.MULTILINE
)


class Named:
    """A driver that says which GPU there is, and nothing else."""

    def __init__(self, target: GPUTarget) -> None:
        self.target = target

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def instructions(capability: int, wanted: list[str], *, fuse: bool) -> dict[str, list[str]]:
    """By kernel, its instructions on floats, for a GPU of this compute capability."""
    driver.set_active(Named(GPUTarget("cuda", capability, 32)))
    found: dict[str, set[str]] = {}

    def compile_(function: object, programs: int, *arguments: object, **constants: int) -> None:
        if constants.get("kind") == F32 or (wanted and function.__name__ not in wanted):
            return  # a float32 is written as it is
        how = {} if fuse else {"enable_fp_fusion": False}
        code = function.warmup(*arguments, **constants, **how, grid=(max(programs, 1),)).asm
        assert code["cubin"]
        found.setdefault(function.__name__, set()).update(FLOAT.findall(code["ptx"]))

    lanes.start = compile_
    made = sources(3, 3, 1500)
    made.kinds[:] = BF16, F16, F32, CHANGE
    for row in range(4):  # nothing reads them
        made.rows[row] = np.zeros(4 * 1500, np.uint8)
    results(on_gpu.gpu_loops(torch.device("cpu")), made, 3)
    return {name: sorted(names) for name, names in found.items()}


if __name__ == "__main__":
    print(json.dumps(instructions(int(sys.argv[1]), sys.argv[3:], fuse=sys.argv[2] == "fuse")))
