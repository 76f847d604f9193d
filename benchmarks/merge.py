"""What merging costs, against reading its inputs and copying its output, and against mergekit, in one run.

    python benchmarks/merge.py                                       # 0.5B, 1.5B and, where there is room, 3B
    python benchmarks/merge.py --sizes 0.5 --mergekit "" --dir /big/disk --keep --json figures.json

Every figure is of a whole process, from start to finished files with their digests. `cat` of all inputs and `cp` of
as many bytes as the output has are measured anew right before each command, because machines differ and are noisy; the
ratio of a row is the median of the rounds' ratios. Inputs are read before, so that the page cache holds them if it can.
The tables are Markdown; the last one holds what was measured against what was asked for.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from processes import FailedError, measured
from sizes import EXPERTS, PARAMETERS, SIZES, fits_cache, mergekit_at, sizes_of
from tables import COUNTERPARTS, Figures, Row, machine, report
from targets import asked_table

HERE: Final = Path(__file__).parent
MERGEKIT: Final = HERE.parent / ".venv-mergekit" / "bin" / "mergekit-yaml"
REST: Final = 4.0  # seconds; Linux reports free pages to the host every two
LONG_REST: Final = 30.0
"""Seconds where inputs come from the disk: that of a virtual machine gives some GB at once, and then less a second."""
SET_ASIDE: Final = {"CI", "PYTHONDONTWRITEBYTECODE"}
"""Variables that would keep ramekin from writing its lock, or interpreters from keeping what they compiled."""


@dataclass(frozen=True)
class Checkpoints:
    """Base and experts of one size on disk, and a manifest beside them."""

    size: str
    directory: Path

    @property
    def inputs(self) -> list[Path]:
        return [path for role in ("base", *EXPERTS) for path in sorted((self.directory / role).glob("*.safetensors"))]

    @property
    def bytes_in(self) -> int:
        return sum(path.stat().st_size for path in self.inputs)

    @property
    def cached(self) -> bool:
        """Whether the page cache can hold the inputs beside an output, or its copy, and a process."""
        return fits_cache(self.bytes_in)

    @property
    def home(self) -> Path:
        """Where programs keep what they remember, such as digests."""
        return self.directory / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing is asked of the network, or remembered from elsewhere."""
        kept = {name: value for name, value in os.environ.items() if name not in SET_ASIDE}
        return kept | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.home)}

    def manifest(self, method: str) -> Path:
        """`merge.yaml`, for a method."""
        more = {"expert": EXPERTS[0]} if method == "ram-unique" else {}
        content = {
            "version": 1,
            "base": "./base",
            "experts": {name: f"./{name}" for name in EXPERTS},
            "method": {"name": method, **more},
            "output": {"repo": "demo/merged"},
        }
        path = self.directory / "merge.yaml"
        path.write_text(json.dumps(content))
        return path

    def mergekit_config(self, method: str, dtype: str) -> Path:
        """The same for mergekit, which calculates in `dtype`."""
        name, parameters = COUNTERPARTS[method]
        own = {key: value for key, value in parameters.items() if key in {"weight", "density"}}
        shared = {key: value for key, value in parameters.items() if key not in own}
        base = {} if method == "average" else {"base_model": str(self.directory / "base")}
        content = base | {
            "merge_method": name,
            "models": [{"model": str(self.directory / expert), "parameters": own} for expert in EXPERTS],
            "parameters": shared,
            "dtype": dtype,
            "out_dtype": "bfloat16",
        }
        path = self.directory / "mergekit.yaml"
        path.write_text(json.dumps(content))
        return path

    def bytes_alone(self) -> tuple[float, float]:
        """Seconds of `cat` of all inputs to nowhere, and of `cp` of a checkpoint to the same disk."""
        rest = REST if self.cached else LONG_REST
        settle(rest)
        cat = measured(["cat", *map(str, self.inputs)]).wall
        settle(rest)
        copies = self.directory / "copies"
        copies.mkdir()
        files = [str(path) for path in self.inputs if path.parent.name == "base"]
        cp = measured(["cp", "--reflink=never", "--sparse=never", *files, str(copies)]).wall
        shutil.rmtree(copies)
        settle(rest)
        return cat, cp

    def run(self, row: Row, command: Sequence[str]) -> None:
        """One round of a row; what the command writes into `out` is removed."""
        cat, cp = self.bytes_alone()
        try:
            row.rounds.append(measured(command, self.environment, self.directory / "log.txt"))
        finally:
            shutil.rmtree(self.directory / "out", ignore_errors=True)
        row.cats.append(cat)
        row.copies.append(cp)
        print(f"  {row.size}B {row.name}: {row.rounds[-1].wall:.2f} s, {row.ratio:.2f}", file=sys.stderr)


def settle(rest: float) -> None:
    """Let all that is measured find the same: a disk that is at rest, and no memory that was just in use.

    A virtual machine gives memory back to its host some seconds after it became free, and takes it again page by page:
    `cp` to memory that the command before has just freed is ten times as fast as to memory that is fetched anew.
    """
    os.sync()
    time.sleep(rest)


def ramekin(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ramekin", *arguments]


def merge_command(checkpoints: Checkpoints, method: str) -> list[str]:
    """A merge whose lock is at hand."""
    manifest = str(checkpoints.manifest(method))
    measured(ramekin("lock", manifest), checkpoints.environment, checkpoints.directory / "log.txt")
    return ramekin("merge", manifest, "--locked", "--quiet", "--out", str(checkpoints.directory / "out"))


def mergekit_command(checkpoints: Checkpoints, method: str, dtype: str) -> list[str]:
    """With the option that its README names for memory, and nothing beside the weights to do.

    It may need more memory than there is: then it is what the kernel shall end, and nothing else of the machine's.
    """
    options = ["--lazy-unpickle", "--no-copy-tokenizer", "--no-write-model-card", "--quiet"]
    config, out = checkpoints.mergekit_config(method, dtype), checkpoints.directory / "out"
    return ["choom", "-n", "1000", "--", str(MERGEKIT), str(config), str(out), *options]


def measure(checkpoints: Checkpoints, methods: Sequence[str], rounds: int) -> list[Row]:
    """All rows of ours at one size."""
    size = checkpoints.size
    manifest = str(checkpoints.manifest("ram"))
    shutil.rmtree(checkpoints.home, ignore_errors=True)
    checkpoints.bytes_alone()  # fills the page cache
    lock = Row(size, "ramekin lock", "cat")
    checkpoints.run(lock, ramekin("lock", "--upgrade", manifest))
    stats = Row(size, "ramekin stats", "cat")
    merges = {method: Row(size, f"ramekin {method}", "cat + cp") for method in methods}
    for _ in range(rounds):
        checkpoints.manifest("ram")
        measured(ramekin("lock", manifest), checkpoints.environment, checkpoints.directory / "log.txt")
        checkpoints.run(stats, ramekin("stats", manifest, "--locked", "--quiet"))
        for method, row in merges.items():
            checkpoints.run(row, merge_command(checkpoints, method))
    return [lock, stats, *merges.values()]


def measure_mergekit(checkpoints: Checkpoints, methods: Sequence[str], dtype: str) -> list[Row]:
    """All rows of mergekit's at one size, one round each; it may fail for want of memory."""
    rows = []
    for method in methods:
        row = Row(checkpoints.size, f"mergekit {COUNTERPARTS[method][0]}", "cat + cp")
        try:
            checkpoints.run(row, mergekit_command(checkpoints, method, dtype))
        except FailedError as error:
            print(error, file=sys.stderr)
        rows.append(row)
    return rows


@contextlib.contextmanager
def checkpoints_in(directory: Path, size: str, *, keep: bool) -> Iterator[Checkpoints]:
    """The checkpoints of a size, built if they are not there. What was built is removed again unless it is to be kept.

    They are built by a process of their own, for the sake of the peaks that are measured from this one.
    """
    place = directory / (size if size == "warm" else f"{size}B")
    there = (place / "memory").exists()
    try:
        if not there:
            subprocess.run(
                [sys.executable, str(HERE / "checkpoints.py"), size, str(place)], check=True, stdout=sys.stderr
            )
        yield Checkpoints(size, place)
    finally:
        if not keep and not there:
            shutil.rmtree(place, ignore_errors=True)


def warm_up(directory: Path, methods: Sequence[str], mergekit: Sequence[str]) -> None:
    """Compile every loop and every module once; both are kept on disk from then on."""
    with checkpoints_in(directory, "warm", keep=False) as checkpoints:
        measure(checkpoints, methods, 1)
        measure_mergekit(checkpoints, mergekit[:1], "bfloat16")


def known_methods() -> list[str]:
    """The methods that this version has."""
    said = subprocess.run(ramekin("methods", "--json"), check=True, capture_output=True, text=True).stdout
    return [method["name"] for method in json.loads(said)["methods"]]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", help=f"of {','.join(SIZES)}; if left out, 0.5, 1.5 and, where disk and page cache have room, 3"
    )
    parser.add_argument("--methods", default="all", help="of `ramekin methods`, comma-separated")
    parser.add_argument("--mergekit", help="methods, by our names, that it is timed with too; all if left out")
    parser.add_argument(
        "--mergekit-sizes", help="sizes that it is timed at; if left out, those that it can merge in this memory"
    )
    parser.add_argument("--mergekit-dtype", default="bfloat16", help="it calculates in this, or in float32, as we do")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where to build the checkpoints, or where they are")
    parser.add_argument("--keep", action="store_true", help="leave there what was built, for the next run")
    parser.add_argument("--json", type=Path, help="file for all figures")
    chosen = parser.parse_args()
    known = known_methods()
    chosen.methods = known if chosen.methods == "all" else chosen.methods.split(",")
    if chosen.mergekit and not MERGEKIT.exists():
        parser.error("mergekit is not installed: `make mergekit` does that")
    if chosen.mergekit in (None, "all"):
        chosen.mergekit = ",".join(COUNTERPARTS) if MERGEKIT.exists() else ""
    chosen.mergekit = [method for method in chosen.mergekit.split(",") if method]
    sizes = [size for given in (chosen.sizes, chosen.mergekit_sizes) for size in (given or "").split(",") if size]
    for given, allowed in ((chosen.methods, known), (chosen.mergekit, COUNTERPARTS), (sizes, PARAMETERS)):
        if unknown := sorted(set(given) - set(allowed)):
            parser.error(f"{', '.join(unknown)}: choose from {', '.join(allowed)}")
    return chosen


def main() -> None:
    chosen, notes = parsed(), list[str]()
    found: list[Figures] = []
    with contextlib.ExitStack() as stack:
        directory = chosen.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ramekin-bench-")))
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        sizes = sizes_of(chosen.sizes, directory, notes)
        warm_up(directory, chosen.methods, chosen.mergekit)
        for size in sizes:
            others = mergekit_at(size, chosen.mergekit, chosen.mergekit_sizes, notes)
            with checkpoints_in(directory, size, keep=chosen.keep) as checkpoints:
                cached = checkpoints.cached
                rows = measure(checkpoints, chosen.methods, chosen.rounds)
                rows += measure_mergekit(checkpoints, others, chosen.mergekit_dtype)
                found.append(Figures(size, checkpoints.bytes_in, cached, rows))
    print(report(found, chosen.rounds, notes))
    print("\n".join(asked_table(found, mergekit="" if chosen.mergekit else "mergekit was not run")))
    if chosen.json:
        figures = [asdict(row) | {"ratio": row.ratio if row.rounds else None} for one in found for row in one.rows]
        chosen.json.write_text(json.dumps({"machine": machine(), "rows": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
