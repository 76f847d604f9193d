"""The magnitudes that TIES looks at first, here and there in a tensor. No result depends on them, but speed does."""

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import Sources, data, lay_out, write_safetensors

from ramekin.checkpoint.tensors import LowRank
from ramekin.errors import DamagedError
from ramekin.merge import reading
from ramekin.merge.arrays import Words
from ramekin.merge.files import OpenSources, Span, roles_of
from ramekin.merge.reading import Reader
from ramekin.plan.layout import Layout, Part, Shard

ROWS, COLUMNS = 300, 128


def sources(directory: Path, *, adapter: bool) -> tuple[Sources, list[np.ndarray]]:
    """A tensor of which one expert has fewer rows, and maybe an adapter; and the changes of all."""
    generator = np.random.default_rng(11)
    start = data(generator.standard_normal(ROWS * COLUMNS), "BF16", (ROWS, COLUMNS))
    near = data(start.values + generator.normal(0, 0.1, ROWS * COLUMNS), "BF16", (ROWS, COLUMNS))
    short = data(near.values[: (ROWS - 40) * COLUMNS], "F32", (ROWS - 40, COLUMNS))
    made = lay_out(directory, {"w": start}, {"near": {"w": near}, "short": {"w": short}})
    changes = [near.values - start.values, np.zeros(ROWS * COLUMNS, np.float32)]
    changes[1][: len(short.values)] = short.values - start.values[: len(short.values)]
    if not adapter:
        return made, changes
    factors = {"a": data(generator.standard_normal((2, COLUMNS))), "b": data(generator.standard_normal((ROWS, 2)))}
    path = directory / "adapter" / "adapter_model.safetensors"
    lying = write_safetensors(path, factors)
    product = np.float32(0.5) * (factors["b"].values.reshape(ROWS, 2) @ factors["a"].values.reshape(2, COLUMNS))
    (task,) = made.layout.shards[0].tensors
    parts: tuple[Part, ...] = (*task.experts, LowRank(lying["a"], lying["b"], 0.5))
    layout = Layout((Shard("model.safetensors", (replace(task, experts=parts),)),), (*made.layout.experts, "adapter"))
    return Sources(layout, made.files | {"expert:adapter": {path.name: path}}, {}, {}), [*changes, product.reshape(-1)]


def sample(made: Sources, *, slow: bool | None = None) -> Words:
    """What a pass finds, having waited for a file before or not."""
    with ExitStack() as stack:
        opened = OpenSources(made.files, roles_of(made.layout.experts), stack)
        (task,) = made.layout.shards[0].tensors
        for source, part in enumerate((task.base, *task.experts)):
            opened.prepare(source, part)
        factors = {
            source: opened.factors(source, part)
            for source, part in enumerate(task.experts, 1)
            if isinstance(part, LowRank)
        }
        if slow is not None:
            opened._waited(opened.place(Span(0, task.base, 0, 1))[0], 0, 1, 1.0 if slow else 0.0)
        return Reader(opened).sample(task, factors)


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "adapter"])
@pytest.mark.parametrize("places", [None, 5], ids=["all", "some"])
def test_a_sample_has_the_magnitudes_of_its_places(
    places: int | None, adapter: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, changes = sources(tmp_path, adapter=adapter)
    monkeypatch.setattr(reading, "_PLACES", places or ROWS)
    monkeypatch.setattr(reading, "_PLACE", COLUMNS)
    found = sample(made).view(np.float32)
    starts = np.linspace(0, (ROWS - 1) * COLUMNS, places).astype(int) if places else [0]
    size = COLUMNS if places else ROWS * COLUMNS
    expected = np.array([[abs(change[start : start + size]) for start in starts] for change in changes])
    assert found.shape == expected.shape
    assert found[:2].tobytes() == expected[:2].tobytes()
    np.testing.assert_allclose(found[2:], expected[2:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("slow", [False, True])
def test_places_are_asked_for_together_where_files_come_from_a_disk(
    slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = sources(tmp_path, adapter=False)
    monkeypatch.setattr(reading, "_PLACES", 5)
    monkeypatch.setattr(reading, "_PLACE", COLUMNS)
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _file, _start, size, _why: asked.append(size))
    sample(made, slow=slow)
    assert [size for size in asked if 0 < size <= 4 * COLUMNS] == [2 * COLUMNS] * 10 * slow + [4 * COLUMNS] * 5 * slow


def test_a_file_that_ends_while_it_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = sources(tmp_path, adapter=False)
    path = made.files["expert:near"]["near.safetensors"]
    monkeypatch.setattr(OpenSources, "prepare", _cut_short(path, OpenSources.prepare))
    with pytest.raises(DamagedError, match=r"near\.safetensors ends after .* within tensor `w`"):
        sample(made)


def _cut_short(path: Path, prepare: object) -> object:
    """As soon as the last source was looked at, a file loses half of itself."""

    def prepared(self: OpenSources, source: int, part: Part) -> None:
        prepare(self, source, part)  # type: ignore[operator]
        if source == 2:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)

    return prepared
