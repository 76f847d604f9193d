"""Low-disk mode worked out: what is fetched when, what lies on the disk, and when the mode is chosen."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramekin import room as room_module
from ramekin.checkpoint.tensors import LowRank, Tensor
from ramekin.lock.model import PinnedFile
from ramekin.plan import disk as disk_module
from ramekin.plan.cost import estimate_cost
from ramekin.plan.disk import PlannedDisk, Room, choose_mode
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.plan.schedule import Schedule, Terms, make_schedule
from ramekin.plan.steps import Span, cut_into_steps, spans_of
from ramekin.room import SPARE

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Family:
    """A base with experts, of which there are no more than headers."""

    layout: Layout
    pinned: dict[str, dict[str, PinnedFile]]

    @property
    def sizes(self) -> dict[str, int]:
        return {file.digest: file.size for files in self.pinned.values() for file in files.values()}


def dealt(shapes: Shapes, most: int) -> list[dict[str, tuple[int, ...]]]:
    """Tensors in files of at most so many bytes."""
    files: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, shape in shapes.items():
        nbytes = 2 * math.prod(shape)
        if size + nbytes > most and files[-1]:
            files.append({})
            size = 0
        files[-1][name] = shape
        size += nbytes
    return files


def family(shapes: Shapes, most: list[int], *, same: bool = False, out: int | None = None) -> Family:
    """Sources in files of so many bytes each; `same` if all have the same files."""
    found: list[dict[str, Tensor]] = []
    pinned: dict[str, dict[str, PinnedFile]] = {}
    for source, limit in enumerate(most):
        role = f"expert:{source}" if source else "base"
        tensors, files = {}, {}
        for number, group in enumerate(dealt(shapes, limit)):
            place, file = 1000, f"model-{number}.safetensors"
            for name, shape in group.items():
                tensors[name] = Tensor(name, "BF16", shape, file, place)
                place += tensors[name].nbytes
            files[file] = PinnedFile(size=place, sha256=f"{0 if same else source:032x}{number:032x}")
        found.append(tensors)
        pinned[role] = files | {"config.json": PinnedFile(size=600, blob=f"{source:040x}")}
    groups = dealt(shapes, out or most[0])
    shards = tuple(
        Shard(
            f"out-{number}",
            tuple(
                TensorTask(n, "BF16", s, "merge", found[0][n], tuple(one[n] for one in found[1:])) for n, s in g.items()
            ),
        )
        for number, g in enumerate(groups)
    )
    return Family(Layout(shards, tuple(str(number) for number in range(1, len(most)))), pinned)


QWEN_7B: Shapes = {
    "model.embed_tokens.weight": (152064, 3584),
    **{
        f"model.layers.{layer}.{name}": shape
        for layer in range(28)
        for name, shape in {
            "input_layernorm.weight": (3584,), "mlp.down_proj.weight": (3584, 18944),
            "mlp.gate_proj.weight": (18944, 3584), "mlp.up_proj.weight": (18944, 3584),
            "post_attention_layernorm.weight": (3584,), "self_attn.k_proj.bias": (512,),
            "self_attn.k_proj.weight": (512, 3584), "self_attn.o_proj.weight": (3584, 3584),
            "self_attn.q_proj.bias": (3584,), "self_attn.q_proj.weight": (3584, 3584),
            "self_attn.v_proj.bias": (512,), "self_attn.v_proj.weight": (512, 3584),
        }.items()
    },
    "model.norm.weight": (3584,),
    "lm_head.weight": (152064, 3584),
}  # fmt: skip


# The schedule, against carrying it out


@st.composite
def families(draw: st.DrawFn) -> Family:
    sizes = draw(st.lists(st.integers(0, 30_000), min_size=1, max_size=25))
    shapes = {f"t{number}": (size,) for number, size in enumerate(sizes)}
    most = draw(st.lists(st.integers(1, 200_000), min_size=2, max_size=4))
    return family(shapes, most, same=draw(st.booleans()) and len(set(most)) == 1, out=draw(st.integers(1, 300_000)))


def carried_out(schedule: Schedule, terms: Terms, merging: int) -> Iterator[int]:
    """Do what a schedule says; yields the bytes of disk at every step, and finds fault with what cannot be done."""
    there, known = set(schedule.lying), set(terms.known)
    stays, file, last = 0, None, 0
    for time, visit in enumerate(schedule.visits):
        step = schedule.steps[visit.number]
        for digest, numbers in visit.whole.items():
            assert digest not in known, "a whole file is fetched twice"
            known.add(digest)
            there |= {(number, digest) for number in numbers}
        for digest in visit.again:
            assert digest in known, "a digest is not known"
            assert (visit.number, digest) not in there, "a part is fetched that is there"
            there.add((visit.number, digest))
        needed = {(visit.number, digest) for digest in step.parts if digest in terms.sizes}
        assert needed <= there
        written = 0
        if time >= merging:
            if file != step.shard.file:
                stays += last if terms.output_stays else 0
            file, last = step.shard.file, step.written
            written = stays + last
        yield written + sum(schedule.steps[number].parts[digest].pages for number, digest in there)
        there -= needed - {(visit.number, digest) for digest in visit.kept}
    assert not there, "something is left"


@settings(max_examples=200, deadline=None)
@given(families(), st.integers(0, 4_000_000), st.sampled_from([1, 2]), st.booleans(), st.booleans(), st.data())
def test_a_schedule_can_be_carried_out_and_takes_what_it_says(
    made: Family, budget: int, passes: int, between: bool, stays: bool, data: st.DataObject
) -> None:
    steps = cut_into_steps(made.layout, made.pinned)
    sizes = {
        digest: size for digest, size in made.sizes.items() if digest.startswith("sha256") and data.draw(st.booleans())
    }
    known = {digest for digest in sizes if data.draw(st.booleans())}
    lying = {(n, d) for n, step in enumerate(steps) for d in step.parts if data.draw(st.booleans())}
    finished = {step.shard.file for step in steps if data.draw(st.booleans())}
    terms = Terms(
        sizes, passes, budget, between=between, output_stays=stays, known=known, lying=lying, finished=finished,
        counted=data.draw(st.booleans()),
    )  # fmt: skip
    schedule = make_schedule(steps, terms)
    merging = len(steps) if passes == 2 and not terms.counted else 0
    used = list(carried_out(schedule, terms, merging))
    assert max(used, default=0) == schedule.peak
    least = make_schedule(steps, Terms(sizes, passes, 0, output_stays=stays, finished=finished, counted=terms.counted))
    assert schedule.peak <= max(budget, least.peak)
    assert [v.number for v in schedule.visits[merging:]] == [
        n for n, step in enumerate(steps) if step.shard.file not in finished
    ]
    whole = sum(sizes[digest] for visit in schedule.visits for digest in visit.whole)
    again = sum(steps[visit.number].parts[digest].size for visit in schedule.visits for digest in visit.again)
    assert (schedule.downloaded, schedule.repeated) == (whole + again, again)


@settings(max_examples=50, deadline=None)
@given(families(), st.sampled_from([1, 2]))
def test_with_enough_room_nothing_is_fetched_twice(made: Family, passes: int) -> None:
    steps = cut_into_steps(made.layout, made.pinned)
    sizes = {digest: size for digest, size in made.sizes.items() if digest in spans_of(steps)}
    assert make_schedule(steps, Terms(sizes, passes, 10**12, between=True)).downloaded == sum(sizes.values())
    shard_by_shard = make_schedule(steps, Terms(sizes, passes, 10**12))
    fetched = sum(part.size for step in steps for digest, part in step.parts.items() if digest in sizes)
    assert shard_by_shard.downloaded == sum(sizes.values()) + (fetched if passes == 2 else 0)


@settings(max_examples=50, deadline=None)
@given(families())
def test_steps_are_all_tensors_in_the_order_of_their_data(made: Family) -> None:
    steps = cut_into_steps(made.layout, made.pinned)
    for shard in made.layout.shards:
        found = [task for step in steps if step.shard.file == shard.file for task in step.shard.tensors]
        assert found == list(shard.tensors)
    limit = made.layout.input_bytes // 64
    for step in steps:
        assert len(step.shard.tensors) == 1 or sum(task.input_bytes for task in step.shard.tensors) <= limit


def test_what_a_step_reads_of_adapters_and_of_what_an_expert_leaves_alone() -> None:
    base = Tensor("w", "BF16", (4, 4), "model.safetensors", 5000)
    low = LowRank(
        Tensor("a", "F32", (2, 4), "adapter.safetensors", 100),
        Tensor("b", "F32", (4, 2), "adapter.safetensors", 132),
        1.0,
    )
    shard = Shard("out", (TensorTask("w", "BF16", (4, 4), "merge", base, (low, None)),))
    pinned = {
        "base": {"model.safetensors": PinnedFile(size=9000, sha256="0" * 64)},
        "expert:x": {"adapter.safetensors": PinnedFile(size=200, sha256="1" * 64)},
        "expert:y": {},
    }
    (step,) = cut_into_steps(Layout((shard,), ("x", "y")), pinned)
    assert {digest[7]: part.runs for digest, part in step.parts.items()} == {
        "0": (Span(5000, 5032),),
        "1": (Span(100, 164),),
    }
    assert step.parts["sha256:" + "0" * 64].pages == 4096
    assert Span(4095, 4097).pages == 8192


# The mode


def planned(
    monkeypatch: pytest.MonkeyPatch, made: Family, free: float, *, passes: int = 1, **options: Any
) -> PlannedDisk:
    """The mode with so much free disk."""
    for module in (room_module, disk_module):
        monkeypatch.setattr(module, "free_disk", lambda _: int(free))
    room = Room(Path("/nowhere"), Path("/nowhere/out"), Path("/nowhere/staging"), output_stays=False, **options)
    return choose_mode(room, made.layout, made.pinned, made.sizes, passes=passes, copied=11_000_000)


SEVEN = family(QWEN_7B, [4_000_000_000] * 4)


def test_seven_billion_with_three_experts_fit_fourteen_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(files) for files in SEVEN.pinned.values()] == [5] * 4  # four of weights each
    assert 60e9 < sum(SEVEN.sizes.values()) < 62e9
    one, two = (planned(monkeypatch, SEVEN, 14e9, passes=passes) for passes in (1, 2))
    assert one.mode == two.mode == "low-disk"
    assert "76.2 GB are needed where 14.0 GB are free" in one.reason
    for disk in (one, two):
        assert 13e9 < disk.low_disk.disk_bytes <= 14e9 - SPARE
        assert disk.normal.disk_bytes > 76e9
    assert one.low_disk.download_bytes < 70e9
    assert two.low_disk.download_bytes < 120e9
    assert two.low_disk.repeated_bytes == two.low_disk.download_bytes - sum(SEVEN.sizes.values())


def test_sharded_in_other_ways_they_do_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    made = family(QWEN_7B, [4_000_000_000, 5_000_000_000, 20_000_000_000, 10_000_000_000])
    disk = planned(monkeypatch, made, 14e9, passes=2)
    assert disk.mode == "low-disk"
    assert disk.low_disk.disk_bytes <= 14e9 - SPARE


def test_the_least_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(monkeypatch, SEVEN, 8.2e9).low_disk.disk_bytes < 8.2e9 - SPARE
    assert planned(monkeypatch, SEVEN, 7e9).low_disk.disk_bytes > 7e9
    whole = family(QWEN_7B, [20_000_000_000] * 4)
    assert planned(monkeypatch, whole, 14e9).low_disk.disk_bytes > 15e9
    cut = family(QWEN_7B, [20_000_000_000] * 4, out=4_000_000_000)
    assert planned(monkeypatch, cut, 14e9).low_disk.disk_bytes < 14e9


def test_the_mode_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = planned(monkeypatch, SEVEN, 100e9)
    assert (roomy.mode, roomy.reason) == ("normal", "there is room for everything")
    asked = planned(monkeypatch, SEVEN, 100e9, passes=2, low_disk=True)
    assert (asked.mode, asked.reason) == ("low-disk", "it was asked for")
    assert asked.low_disk.disk_bytes < 17e9
    assert asked.low_disk.repeated_bytes > 60e9
    by_itself = planned(monkeypatch, SEVEN, 70e9, passes=2)
    assert by_itself.mode == "low-disk"
    assert by_itself.low_disk.repeated_bytes < 10e9  # what room there is keeps parts for the second pass
    assert planned(monkeypatch, SEVEN, 1e9).mode == "low-disk"


def test_the_costs_are_those_of_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = planned(monkeypatch, SEVEN, 14e9, passes=2)
    cost = estimate_cost(SEVEN.pinned.values(), (), SEVEN.layout, 2, disk=disk)
    assert cost.download_bytes == disk.low_disk.download_bytes
    assert cost.disk_bytes == disk.low_disk.disk_bytes
