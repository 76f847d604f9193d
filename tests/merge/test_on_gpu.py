"""The kernels for a GPU against the compiled loops, bit for bit: on a GPU where one is, else as Triton interprets them.

What the interpreter cannot show, `test_kernels.py` looks for in the machine code.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CalledProcessError

import interpreting
import numpy as np
import pytest
import torch
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import from_float32
from synthetic import lay_out
from test_engine import THREE_SHARDS, checkpoint, digests
from test_properties import HOSTILE, checkpoints

from ramekin.environment import Processes
from ramekin.errors import DamagedError, RamekinError, ResourceError, UsageError
from ramekin.merge import devices, reading
from ramekin.merge.arrays import BF16, CHANGE, F16, F32, SPARE, blocks_of, in_memory
from ramekin.merge.engine import Means, merge_weights, probe
from ramekin.merge.loops import choosing
from ramekin.merge.loops.choosing import Loops, loops_for
from ramekin.merge.loops.on_gpu import gpu_loops, lanes, masking
from ramekin.merge.loops.on_gpu.launching import BLOCK, kernel, start
from ramekin.merge.loops.on_processor import philox
from ramekin.merge.resources import Resources, gpu_memory_needed, memory_needed
from ramekin.merge.team import Crew
from ramekin.methods import METHODS, Choosing, Dare, DareTies, Method, ModelStock, RamUnique, Ties

SIZES = {BF16: 2, F16: 2, F32: 4}
LARGEST = {BF16: 3.3895314e38, F16: 65520.0, F32: np.inf}  # what rounds to infinity, and all above
NAMES = {BF16: "BF16", F16: "F16", F32: "F32", CHANGE: "F32"}
NO_GPU = pytest.mark.skipif(not interpreting.HERE, reason="torch finds no CUDA device on this machine")
DEVICES = [
    pytest.param(
        "cpu",
        marks=pytest.mark.skipif(interpreting.HERE, reason="kernels are compiled, for the GPU that is here"),
    ),
    pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU]),
]
# The interpreter calculates with numpy, which warns of what the arithmetic of floats is made of.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
ODD = (float("nan"), float("inf"), -float("inf"), -1e-45, 1.1754942e-38, 5.9e-8, 2.98e-8, 65520.0, 65519.9, 3.4e38)


@dataclass
class Sources:
    """A chunk's buffers, in memory."""

    rows: list[np.ndarray]
    kinds: np.ndarray
    limits: np.ndarray
    count: int

    @property
    def handed(self) -> tuple[np.ndarray, ...]:
        """As the engine hands a chunk over."""
        return in_memory([row.ctypes.data for row in self.rows]), self.kinds, self.limits


def sources(seed: int, experts: int, count: int, *, damaged: bool = False) -> Sources:
    """A base and experts of any types, some shorter than the base, with hostile values among equal ones."""
    generator = np.random.default_rng(seed)
    kinds = generator.choice([BF16, F16, F32], experts + 1)
    if generator.random() < 0.3:
        kinds[:] = BF16
    kinds[1:] = np.where(generator.random(experts) < 0.15, CHANGE, kinds[1:])
    limits = np.where(generator.random(experts) < 0.3, generator.integers(0, count + 1, experts), count)
    start = generator.choice([0.0, -0.0, 1.0, 0.5, 1e-3, -2.0, 3e-39, 1e30], count).astype(np.float32)
    rows = []
    for t, kind in enumerate(kinds):
        steps = generator.choice([0, 0, 1e-5, -1e-5, 0.25, -0.25, 1e-3, 1e-45, 1e-30, 7.0], count)
        values = (0 if kind == CHANGE else start) + (steps if t else 0)
        hostile = generator.random(count) < 0.1
        values = np.where(hostile, generator.choice([*HOSTILE, *(ODD if damaged else ODD[3:])], count), values)
        if kind == F16 and not damaged:
            values = np.clip(values, -65504, 65504)
        with np.errstate(over="ignore"):
            raw = from_float32(values.astype(np.float32)[: count if not t else limits[t - 1]], NAMES[int(kind)])
        rows.append(np.frombuffer(bytearray(raw), np.uint8) if raw else np.zeros(0, np.uint8))
    return Sources(rows, kinds.astype(np.uint8), limits.astype(np.int64), count)


def results(loops: Loops, made: Sources, seed: int) -> list[tuple[str, bytes]]:
    """What every loop gives, bits and counts."""
    loops.begin()
    generator = np.random.default_rng(seed + 1)
    n, count, found = len(made.limits), made.count, []
    weights = generator.choice([0.0, 1.0, 0.4, 1 / 3, 2.5], n).astype(np.float32)
    kind = int(generator.integers(0, 3))
    scale, epsilon = np.float32(generator.choice([0.0, 1.0, 0.7])), np.float32(generator.choice([0.0, 1e-5, 1e-3]))
    out, bad = np.zeros(4 * count, np.uint8), np.zeros(n + 2, np.int64)

    def keep(name: str, *arrays: np.ndarray) -> None:
        found.extend((name, array.tobytes()) for array in (*arrays, bad))

    def merge(name: str, *arguments: object, counts: tuple[np.ndarray, ...] = ()) -> None:
        """As float32 and as some type, but for what does not fit: that is an error, and its bits are no result."""
        loop = getattr(loops, name)
        loop(*made.handed, count, *arguments, out, F32, *counts, bad)
        wide = out.view(np.float32).copy()
        loop(*made.handed, count, *arguments, out, kind, *counts, bad)
        narrow = out[: count * SIZES[kind]].view(np.uint32 if kind == F32 else np.uint16)
        fits = np.abs(wide) < LARGEST[kind]
        keep(name, np.where(np.isfinite(wide), wide, 0), np.where(fits, narrow, 0), *counts)

    counts = np.zeros(1 << n, np.int64)
    loops.count_patterns(*made.handed, count, epsilon, counts, bad)
    keep("count_patterns", counts)
    coefficients = generator.choice([0, 1, 0.5, 1 / 3, 1.1], 1 << n).astype(np.float32)
    coefficients[0] = 0
    for tally in (counts, counts[:0]):
        merge("merge_ram", epsilon, coefficients, counts=(tally,))
    row = max(int(generator.choice([1, 3, 100, 1024, 1500, 5000])), -(-count // 30)) if count else 1
    first = int(generator.integers(0, 3)) * row + int(generator.integers(0, (row - 1) // 1024 + 1)) * 1024
    factors = np.array([(1 / n, 1, 0), (1 / n, 0.25, 0.75), (0.5, 0, 1)], np.float32)
    factors = factors[generator.integers(0, 3, (first + count) // row + 1)]
    merge("merge_average", factors, row, first)
    merge("merge_sum", weights * np.float32(generator.choice([-1, 1])))
    sums = np.zeros((blocks_of(count, row, first), n, n))
    loops.multiply(*made.handed, count, row, first, sums, bad)
    keep("multiply", np.where(np.isnan(sums), 0, sums))
    cuts = np.array(generator.choice([0.0, 0.25, 1e-3, 1e-45, 1e-5, 7.0], n), np.float32).view(np.uint32)
    equals = np.zeros(n, np.int64)
    loops.count_equals(*made.handed, count, cuts, equals)
    keep("count_equals", equals)
    allowed = np.where(generator.random(n) < 0.3, np.iinfo(np.int64).max, generator.integers(0, equals + 2))
    merge("merge_trimmed", cuts, allowed, weights, scale)
    found += tables(loops, made, generator)
    keys = generator.integers(0, 1 << 32, (n, 2), dtype=np.uint32)
    threshold = np.uint64(generator.choice([0, 1 << 31, 1 << 32]))
    place = int(generator.integers(0, 1 << 36))
    for elect in (False, True):
        merge("merge_dropped", place, keys, threshold, np.float32(2), weights, scale, elect)
    return found


def tables(loops: Loops, made: Sources, generator: np.random.Generator) -> list[tuple[str, bytes]]:
    """Histograms of magnitudes, as far as they are asked for anything."""
    n, count = len(made.limits), made.count
    low = generator.choice([0, 0x30000000, 0x3E800000, 0xFFFFFFFF], n).astype(np.uint32)
    high = np.where(low == 0xFFFFFFFF, low, low + generator.choice([0, 1 << 12, 1 << 22], n).astype(np.uint32))
    high = np.where(low == 0, np.uint32(0x7FFFFFFF), high).astype(np.uint32)
    bits = np.array([int(top - bottom).bit_length() for top, bottom in zip(high, low, strict=True)])
    shift = np.maximum(0, bits - 10).astype(np.uint32)
    above, bad = np.zeros(n, np.int64), np.zeros(n + 2, np.int64)
    table, ones, zeros = (np.zeros((n, 1024 + SPARE), np.uint32) for _ in range(3))
    loops.count_magnitudes(*made.handed, count, low, high, shift, above, table, ones, zeros, bad)
    loops.count_magnitudes(*made.handed, count, low, high, shift, above, table, ones, zeros, bad)
    equal = (ones & zeros)[:, :-SPARE] == 0  # nobody asks what has no bin
    magnitudes = np.where(equal, ones[:, :-SPARE], 0)
    return [("count_magnitudes", x.tobytes()) for x in (above, bad, table[:, :-SPARE], equal, magnitudes)]


def compare(device: str, seed: int, experts: int, count: int, *, damaged: bool) -> None:
    made = sources(seed, experts, count, damaged=damaged)
    with np.errstate(all="ignore"):
        expected = results(loops_for("cpu"), made, seed)
        found = results(gpu_loops(torch.device(device)), made, seed)
    if damaged:  # the results differ, and nobody sees them; what is wrong with each source must not
        expected, found = (
            [(name, bits[:-8]) for name, bits in each if len(bits) == 8 * (experts + 2)] for each in (expected, found)
        )
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (name, bits), (_, others) in zip(found, expected, strict=True):
        assert bits == others, name


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=200 if interpreting.HERE else 15, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.integers(1, 5),
    st.sampled_from([0, 1, 2, 5, 1000, 1023, 1024, 1025, 3001]),
)
def test_every_loop_gives_the_same_bits(device: str, seed: int, experts: int, count: int) -> None:
    compare(device, seed, experts, count, damaged=False)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(6))
def test_nan_and_infinity_are_counted_alike(device: str, seed: int) -> None:
    compare(device, seed, 3, 2000, damaged=True)


@pytest.fixture(params=DEVICES)
def on_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`cuda` is a GPU, or torch's processor device in its place."""
    if request.param == "cpu":
        monkeypatch.setattr(choosing, "cuda_device", lambda rank: torch.device("cpu"))
    loops_for.cache_clear()
    yield
    loops_for.cache_clear()


OURS: dict[str, Method] = {
    method.title(): method()
    for method in METHODS
    if method is not RamUnique and not issubclass(method, Choosing)  # what these choose is one of the others
}
OURS |= {
    "ram-unique": RamUnique(expert="b", scale=0.5),
    "model-stock, by filter": ModelStock(filter_wise=True),
    "ties, weights": Ties(density=0.5, weight={"a": 0.5, "b": 1.0, "c": 0.3}),
    "dare, nothing dropped": Dare(drop_rate=0),
    "dare-ties, most dropped": DareTies(drop_rate=0.9, seed=7),
}


@pytest.mark.parametrize("name", OURS)
def test_a_whole_merge_on_a_gpu_writes_the_same_files(
    name: str, on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PLACES", 4)  # so that TIES counts magnitudes, even in small tensors
    monkeypatch.setattr(reading, "_PLACE", 32)
    mixtures = [("F16", "F32", "BF16", "F16"), ("BF16",) * 4]
    for dtypes in mixtures[: 1 if "filter" in name and not interpreting.HERE else 2]:  # a program for each filter
        given_ = checkpoint(tmp_path / dtypes[0], dtypes, shards=THREE_SHARDS)
        places = tmp_path / f"{dtypes[0]}-cpu", tmp_path / f"{dtypes[0]}-gpu"
        merged = [
            merge_weights(given_.layout, given_.supply, OURS[name], place, means=Means(how))
            for place, how in zip(places, (Resources(1 << 14, 2), Resources(1 << 13, 3, "cuda")), strict=True)
        ]
        assert merged[0] == merged[1]
        assert digests(places[0]) == digests(places[1])


@pytest.mark.parametrize("method", [Ties(density=0.3), DareTies()], ids=lambda m: m.name)
@settings(max_examples=100 if interpreting.HERE else 12, deadline=None)
@given(made=checkpoints())
def test_hostile_checkpoints_on_a_gpu(method: Method, made: object) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "cuda_device", lambda rank: torch.device("cpu"))
        loops_for.cache_clear()
        found = []
        try:
            for i, how in enumerate((Resources(64, 2), Resources(64, 2, "cuda"))):
                laid = lay_out(Path(place) / f"in{i}", *made)  # type: ignore[misc]
                try:
                    merged = merge_weights(laid.layout, laid.supply, method, Path(place) / f"out{i}", means=Means(how))
                    found.append((merged, digests(Path(place) / f"out{i}")))
                except DamagedError as error:
                    found.append(str(error))
        finally:
            loops_for.cache_clear()
        assert found[0] == found[1]


def test_a_chunk_is_copied_to_the_gpu_once_for_all_loops_over_it(
    on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []
    upload = lanes.Lane._upload
    monkeypatch.setattr(
        lanes.Lane, "_upload", lambda self, rows, sizes: (copied.append(sum(sizes)), upload(self, rows, sizes))[1]
    )
    given_ = checkpoint(tmp_path / "in")
    how = Resources(1 << 13, 3, "cuda")
    merged = merge_weights(given_.layout, given_.supply, Dare(), tmp_path / "out", means=Means(how))
    assert sum(copied) == given_.layout.input_bytes == merged.bytes_read


@kernel
def _words(keys: tl.tensor, first: tl.tensor, out: tl.tensor) -> None:
    lane = tl.arange(0, BLOCK)
    tl.store(out + lane, masking.words(keys, 0, lane.to(tl.int64) + first).to(tl.int64))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("key0", "key1", "first"),
    [(0, 0, 0), (0xFFFFFFFF, 0x12345678, (0xFFFFFFFE << 2) - 6), (0x9E3779B9, 1, 1 << 35), (1, 2, (1 << 33) + 3)],
)
def test_masks_are_those_of_the_compiled_loops(device: str, key0: int, key1: int, first: int) -> None:
    words = np.empty((4, BLOCK.value // 4 + 1), np.uint32)
    philox(np.uint32(key0), np.uint32(key1), first // 4, words)
    keys = torch.from_numpy(np.array([key0, key1], np.uint32).view(np.int32)).to(device)
    found = torch.zeros(BLOCK.value, dtype=torch.int64, device=device)
    start(_words, 1, keys, first, found)
    assert np.array_equal(found.cpu().numpy(), words.T.reshape(-1)[first % 4 :][: BLOCK.value])


def through(device: str, base: np.ndarray, kind: int, out_kind: int) -> np.ndarray:
    """What becomes of elements that no expert changes."""
    count = base.nbytes // SIZES[kind]
    made = Sources([base.view(np.uint8)] * 2, np.full(2, kind, np.uint8), np.array([count]), count)
    out, bad = np.zeros(count * SIZES[out_kind], np.uint8), np.zeros(3, np.int64)
    none, half = np.zeros(0, np.int64), np.zeros(2, np.float32)
    loops = loops_for("cpu") if device == "compiled" else gpu_loops(torch.device(device))
    loops.begin()
    loops.merge_ram(*made.handed, count, np.float32(0), half, out, out_kind, none, bad)
    assert bad.tolist() == [0, 0, 0]
    return out


@pytest.mark.parametrize("kind", [BF16, F16])
@pytest.mark.parametrize("device", DEVICES)
def test_every_half_is_widened_and_rounded_as_by_the_compiled_loops(device: str, kind: int) -> None:
    """All 16-bit floats, their midpoints and the float32 next to those; subnormals included, none flushed."""
    halves = np.arange(1 << 16, dtype=np.uint16)
    finite = halves[(halves & (0x7F80 if kind == BF16 else 0x7C00)) != (0x7F80 if kind == BF16 else 0x7C00)]
    wide = through(device, finite, kind, F32).view(np.float32)
    expected = finite.view(np.float16).astype(np.float32) if kind == F16 else (finite.astype(np.uint32) << 16)
    assert wide.tobytes() == expected.tobytes()
    beside = np.array((0, 1, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001), np.uint32)
    # All of them on a GPU; the interpreter, which takes its time, has one for each.
    beside = beside[:, None] if device == "cuda" else beside[np.arange(len(wide)) * 5 % 8]
    bits = (wide.view(np.uint32) + beside).reshape(-1)
    numbers = bits.view(np.float32)
    numbers = np.ascontiguousarray(numbers[np.abs(numbers) < LARGEST[kind]])
    assert np.array_equal(through(device, numbers, F32, kind), through("compiled", numbers, F32, kind))


@pytest.mark.parametrize("device", DEVICES)
def test_no_subnormal_is_flushed_and_nothing_is_fused(device: str) -> None:
    generator = np.random.default_rng(5)
    count = 1 << 13
    base, change = (generator.standard_normal(count).astype(np.float32) for _ in range(2))
    base[:64], change[:64] = 0, np.float32(1e-40) * np.arange(64, dtype=np.float32)
    weight = np.float32(1 / 3)
    made = Sources(
        [base.view(np.uint8), change.view(np.uint8)], np.array([F32, CHANGE], np.uint8), np.array([count]), count
    )
    out, bad = np.zeros(4 * count, np.uint8), np.zeros(3, np.int64)
    loops = gpu_loops(torch.device(device))
    loops.begin()
    loops.merge_sum(*made.handed, count, np.array([weight]), out, F32, bad)
    assert out.tobytes() == (base + weight * change).tobytes()
    fused = (base.astype(np.float64) + weight.astype(np.float64) * change).astype(np.float32)
    assert (fused != out.view(np.float32)).any()  # so this would have told


@pytest.mark.parametrize("experts", [1, 4, 11, 16])
@pytest.mark.parametrize("device", DEVICES)
def test_patterns_of_few_and_of_many_experts(device: str, experts: int) -> None:
    compare(device, experts, experts, 1500 if experts < 11 else 90, damaged=False)


def test_a_machine_without_a_gpu_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = checkpoint(tmp_path / "in")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="torch finds no GPU") as met:
        probe(given_.layout, given_.supply, 1e-5, means=Means(Resources(device="cuda")))
    assert "--device cpu" in met.value.problems[0].hint
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="triton is not installed"):
        choosing.cuda_device(0)
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choosing.cuda_device(1) == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="process 3 of this machine"):
        choosing.cuda_device(2)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("x"), RuntimeError("CUDA error: out of memory")])
def test_a_gpu_whose_memory_is_used_up(
    error: RuntimeError, on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(lanes.Lane, "_upload", full)
    given_ = checkpoint(tmp_path / "in")
    with pytest.raises(ResourceError, match="used up") as met:
        merge_weights(given_.layout, given_.supply, Ties(), tmp_path / "out", means=Means(Resources(device="cuda")))
    assert met.value.exit_code == 8


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Failed to find C compiler. Please specify via CC"), CalledProcessError(1, ["cc", "launcher.c"])],
)
def test_a_machine_on_which_triton_can_build_nothing(
    error: Exception, on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unbuilt:
        def __getitem__(self, grid: object) -> object:
            raise error

    start_ = lanes.start
    monkeypatch.setattr(lanes, "start", lambda function, *arguments, **named: start_(Unbuilt(), *arguments, **named))
    given_ = checkpoint(tmp_path / "in")
    with pytest.raises(UsageError, match="C compiler") as met:
        probe(given_.layout, given_.supply, 1e-5, means=Means(Resources(device="cuda")))
    assert "--device cpu" in met.value.problems[0].hint


def test_other_errors_on_a_gpu_are_not_taken_for_it(
    on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(lanes.Lane, "_upload", broken)
    given_ = checkpoint(tmp_path / "in")
    with pytest.raises(RuntimeError, match="something else") as met:
        probe(given_.layout, given_.supply, 1e-5, means=Means(Resources(device="cuda")))
    assert not isinstance(met.value, RamekinError)


def test_a_file_that_cannot_be_read_is_told_of(on_gpu: None, tmp_path: Path) -> None:
    given_ = checkpoint(tmp_path / "in")
    path = given_.files["expert:b"]["b.safetensors"]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedError, match="ends after"):
        probe(given_.layout, given_.supply, 1e-5, means=Means(Resources(device="cuda")))


def test_a_gpu_is_taken_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(devices, "usable_threads", lambda processes: 32 // processes)
    team = Crew(Processes(3, 4, 3, 4), list)
    for device, chosen, threads in (("auto", "cpu", 8), ("cpu", "cpu", 8), ("cuda", "cuda", 4)):
        found = devices.resources_for(device, team)
        assert (found.device, found.local_rank, found.threads) == (chosen, 3, threads)


def test_memory_beside_a_gpu_is_stated() -> None:
    here = Resources(threads=2)
    there = replace(here, device="cuda")
    assert memory_needed(3, there) > memory_needed(3, here) + 2 * 5 * (8 << 20)
    assert 1 << 30 > gpu_memory_needed(3, there) > 2 * 4 * (8 << 20)


@pytest.mark.gpu
@NO_GPU
@pytest.mark.parametrize("name", OURS)
def test_the_gpus_memory_is_as_stated(name: str, tmp_path: Path) -> None:
    given_ = checkpoint(tmp_path / "in")
    how = Resources(8 << 20, 2, "cuda")
    torch.cuda.reset_peak_memory_stats()
    merge_weights(given_.layout, given_.supply, OURS[name], tmp_path / "out", means=Means(how))
    assert torch.cuda.max_memory_allocated() <= gpu_memory_needed(3, how)
