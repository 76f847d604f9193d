"""How fast a merge is, against reading its inputs and copying its output.

Builds a base and three experts in bfloat16 that differ from it in 3.2 %, 46.2 % and 54.3 % of their elements (the
densities of published experts), then times whole processes, start-up included, each the best of several rounds:

    python benchmarks/merge.py --parameters 3e8 --dir /somewhere/with/space

Everything is read from the page cache if it fits there; the table is about the program, not about the disk.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ramekin.digests import sha256_of

DENSITIES = {"coder": 0.032, "tool": 0.462, "memory": 0.543}
WIDTH = 1024

WORKER = """
import sys
from pathlib import Path
from ramekin.checkpoint.header import read_header
from ramekin.merge.engine import merge_weights, probe
from ramekin.methods import Ram, RamPlus
from ramekin.plan.layout import Layout, Shard, TensorTask

here, what = Path(sys.argv[1]), sys.argv[2]
names = ("coder", "tool", "memory")

def tensors(name):
    path = here / name / "model.safetensors"
    def read(file, start, stop):
        with path.open("rb") as opened:
            opened.seek(start)
            return opened.read(stop - start)
    return {t.name: t for t in read_header(read, path.name, path.stat().st_size).tensors}

base, *experts = (tensors(name) for name in ("base", *names))
tasks = tuple(TensorTask(n, "BF16", t.shape, "merge", t, tuple(e[n] for e in experts)) for n, t in base.items())
layout = Layout((Shard("model.safetensors", tasks),), names)
files = {r: {"model.safetensors": here / n / "model.safetensors"}
         for r, n in (("base", "base"), *((f"expert:{n}", n) for n in names))}
if what == "stats":
    probe(layout, files, 1e-5)
else:
    merge_weights(layout, files, Ram() if what == "ram" else RamPlus(), here / "out")
"""


def build(directory: Path, parameters: int) -> None:
    """Write base and experts: an embedding of a quarter of the elements, square matrices, and vectors between them."""
    shapes: dict[str, tuple[int, ...]] = {"embed": (max(1, parameters // 4 // WIDTH), WIDTH)}
    for i in range(max(1, round(parameters * 0.75 / (4 * WIDTH * WIDTH)))):
        shapes[f"layer.{i}.weight"] = (4 * WIDTH, WIDTH)
        shapes[f"layer.{i}.norm"] = (WIDTH,)
    header, begin = {}, 0
    for name, shape in shapes.items():
        end = begin + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    for name, density in {"base": 0.0, **DENSITIES}.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        with (directory / name / "model.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for i, shape in enumerate(shapes.values()):
                size = int(np.prod(shape))
                bits = (0.02 * np.random.default_rng(i).standard_normal(size, np.float32)).view(np.uint32) >> 16
                if density:
                    changed = np.random.default_rng([i, len(name)]).random(size, np.float32) < density
                    bits = np.where(changed, bits ^ 8, bits)  # a change in the fourth bit of the fraction
                file.write(bits.astype(np.uint16).tobytes())


def best(rounds: int, action: Callable[[], object]) -> tuple[float, float]:
    """Least wall time and least processor time, in seconds."""
    walls, processors = [], []
    for _ in range(rounds):
        started, before = time.perf_counter(), sum(os.times()[:4])
        action()
        walls.append(time.perf_counter() - started)
        processors.append(sum(os.times()[:4]) - before)
    return min(walls), min(processors)


def measure(directory: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Least wall and processor time of each whole process."""
    inputs = [str(directory / name / "model.safetensors") for name in ("base", *DENSITIES)]
    copy = directory / "copy.safetensors"

    def ramekin(what: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", WORKER, str(directory), what], check=True)

    def shell(*command: str) -> Callable[[], object]:
        def run() -> None:
            copy.unlink(missing_ok=True)
            with Path(os.devnull).open("wb") as nowhere:
                subprocess.run(command, check=True, stdout=nowhere)

        return run

    ramekin("ram")()  # compiles, once per machine, and fills the page cache
    shell("cat", *inputs)()
    return {
        "cat inputs": best(rounds, shell("cat", *inputs)),
        "cp output": best(rounds, shell("cp", inputs[0], str(copy))),
        "start-up alone": best(rounds, shell(sys.executable, "-c", "import ramekin.merge.engine")),
        "digest of output": best(rounds, lambda: sha256_of(Path(inputs[0]))),
        "ramekin stats": best(rounds, ramekin("stats")),
        "ramekin ram": best(rounds, ramekin("ram")),
        "ramekin ram+": best(rounds, ramekin("ram+")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=1e8, help="elements of one checkpoint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where to build the checkpoints; removed afterwards")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="ramekin-bench-", dir=options.dir))
    try:
        build(directory, int(options.parameters))
        size = (directory / "base" / "model.safetensors").stat().st_size
        seconds = measure(directory, options.rounds)
    finally:
        shutil.rmtree(directory)
    reading, writing = seconds["cat inputs"][0], seconds["cp output"][0]
    passes = {"ramekin stats": reading, "ramekin ram": reading + writing, "ramekin ram+": 2 * reading + writing}
    cores = len(os.sched_getaffinity(0))
    print(f"{size / 2e9:.2f} B parameters, base and {len(DENSITIES)} experts in bfloat16, {cores} cores")
    print(f"{4 * size / 1e9:.2f} GB read a pass, {size / 1e9:.2f} GB written; best of {options.rounds}\n")
    print(f"{'process':<18}{'wall s':>9}{'processor s':>13}{'wall / its cat + cp':>21}")
    for name, (wall, processor) in seconds.items():
        ratio = f"{wall / passes[name]:.2f}" if name in passes else ""
        print(f"{name:<18}{wall:>9.2f}{processor:>13.2f}{ratio:>21}")


if __name__ == "__main__":
    main()
