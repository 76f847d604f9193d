"""Files that are on the disk only in parts: what is given to a step is right, or it is an error."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramekin.answers import NoAnswer
from ramekin.checkpoint.header import parse_header
from ramekin.checkpoint.tensors import Tensor
from ramekin.download import Wanted
from ramekin.errors import DamagedError, SourceError
from ramekin.lock.model import PinnedFile, PinnedSource
from ramekin.parts import FetchedParts, Origin, lying_parts
from ramekin.plan.layout import Layout, Shard, TensorTask
from ramekin.plan.schedule import Terms, make_schedule
from ramekin.plan.steps import cut_into_steps
from ramekin.progress import Silence

ROLES = ("base", "expert:a", "expert:b")


def weights_file(tensors: dict[str, bytes], role: str) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"role": f"{role:10}"}}
    place = 0
    for name, content in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": [place, place + len(content)]}
        place += len(content)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


@dataclass
class Client:
    """A Hub in memory, that may lie, hold back or ignore ranges."""

    contents: dict[tuple[str, str], bytes]
    change: Callable[[str, int, bytes], bytes] = lambda name, start, content: content
    ranges: bool = True
    breaks: int = 0
    asked: list[tuple[str, int, int | None]] = field(default_factory=list)

    @contextmanager
    def download(
        self, repo: str, commit: str, name: str, start: int, stop: int | None = None, *, dataset: bool = False
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        del commit
        self.asked.append((f"{repo}/{name}", start, stop))
        if not self.ranges:
            start, stop = 0, None
        content = self.change(name, start, self.contents[repo, name][start:stop])
        if self.breaks:
            self.breaks -= 1
            content = content[: len(content) // 2]
        yield start, iter([content[n : n + 999] for n in range(0, len(content), 999)])

    def patience(self, attempt: int, asked: float | None = None) -> float:
        del attempt, asked
        return 0.0


@dataclass
class World:
    """Sources, the merge of them cut into steps, and where their parts go."""

    root: Path
    contents: dict[tuple[str, str], bytes]
    layout: Layout
    pinned: dict[str, dict[str, PinnedFile]]
    origins: dict[str, Origin]
    tensors: dict[tuple[str, str], bytes]
    known: dict[str, Any] = field(default_factory=dict)

    def supply(self, client: Client, budget: int, **terms: Any) -> FetchedParts:
        steps = cut_into_steps(self.layout, self.pinned)
        sizes = {digest: origin.wanted.file.size for digest, origin in self.origins.items()}
        terms = {"passes": 1, "known": self.known, "lying": lying_parts(self.root)} | terms
        return FetchedParts(
            self.root,
            make_schedule(steps, Terms(sizes, budget=budget, **terms)),
            self.origins,
            {},
            known=self.known,
            note=self.known.update,
            client=client,  # type: ignore[arg-type]
            progress=Silence(),
        )

    def go_over(self, supply: FetchedParts) -> None:
        """Be the engine: read all of every step."""
        for shard in self.layout.shards:
            for step in supply.steps(shard):
                with supply.holding(step) as files:
                    for task in step.tensors:
                        for role, part in zip(ROLES, (task.base, *task.experts), strict=True):
                            assert isinstance(part, Tensor)
                            content = files[role][part.file].read_bytes()
                            assert content[part.start : part.start + part.nbytes] == self.tensors[role, task.name]


def world(root: Path, sizes: list[int], files: list[int]) -> World:
    """Sources with tensors of so many bytes, each in so many files."""
    names = [f"t{number}" for number in range(len(sizes))]
    contents, pinned, tensors, found = {}, {}, {}, {}
    origins: dict[str, Origin] = {}
    for number, (role, count) in enumerate(zip(ROLES, files, strict=True)):
        per = -(-len(names) // count)
        source = PinnedSource(source=f"org/{number}", kind="hub", commit="c" * 40, files={})
        pinned[role] = {}
        for first in range(0, len(names), per):
            data = {
                name: hashlib.shake_128(f"{number} {name}".encode()).digest(sizes[names.index(name)])
                for name in names[first : first + per]
            }
            body, name = weights_file(data, role), f"f{first}.safetensors"
            file = PinnedFile(size=len(body), sha256=hashlib.sha256(body).hexdigest())
            header = parse_header(body[8 : 8 + int.from_bytes(body[:8], "little")], name, len(body))
            contents[f"org/{number}", name] = body
            pinned[role][name] = file
            found |= {(role, tensor.name): tensor for tensor in header.tensors}
            tensors |= {(role, key): value for key, value in data.items()}
            described = frozenset((t.name, t.dtype, t.shape, t.start) for t in header.tensors)
            origins[file.digest] = Origin(Wanted(role, source, name, file), described, ((role, name),))
    tasks = [
        TensorTask(name, "U8", (size,), "copy", found["base", name], tuple(found[role, name] for role in ROLES[1:]))
        for name, size in zip(names, sizes, strict=True)
    ]
    half = -(-len(tasks) // 2)
    shards = tuple(Shard(f"out{n}", tuple(tasks[n : n + half])) for n in range(0, len(tasks), half))
    return World(root, contents, Layout(shards, ("a", "b")), pinned, origins, tensors)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    st.lists(st.integers(1, 4), min_size=3, max_size=3),
    st.integers(0, 300_000),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_step_has_what_it_reads(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], files: list[int], budget: int, ranges: bool, breaks: int
) -> None:
    made = world(tmp_path_factory.mktemp("parts"), sizes, files)
    client = Client(made.contents, ranges=ranges, breaks=breaks)
    supply = made.supply(client, budget, passes=2, between=True)
    made.go_over(supply)
    made.go_over(supply)
    assert [path for path in made.root.rglob("*") if path.is_file()] == []


def interrupted(made: World, client: Client, budget: int, steps: int) -> None:
    """Be a run that is killed within a step."""
    supply = made.supply(client, budget)
    cut = [step for shard in made.layout.shards for step in supply.steps(shard)]
    for step in cut[:steps]:
        with supply.holding(step):
            pass
    supply.holding(cut[steps]).__enter__()


SIZES = [5000] * 8


def test_parts_of_an_interrupted_run_are_used_again(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 2, 1])
    interrupted(made, Client(made.contents), 10**9, 2)
    client = Client(made.contents)
    made.go_over(made.supply(client, 10**9))
    again = {file for file, start, stop in client.asked if (start, stop) == (0, None)}
    assert again == {"org/1/f4.safetensors"}  # it had not been needed yet
    assert {file for file, start, _ in client.asked if start} == {f"org/{n}/f0.safetensors" for n in range(3)}


def test_parts_that_have_changed_meanwhile_are_not(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 2, 1])
    interrupted(made, Client(made.contents), 10**9, 2)
    for path in tmp_path.glob("*/*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2 :: 1000] = bytes(len(content[len(content) // 2 :: 1000]))
        path.write_bytes(content)
    made.go_over(made.supply(Client(made.contents), 10**9))


def test_parts_of_a_file_that_never_was_whole_go(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 1, 1])
    client = Client(made.contents, change=lambda name, start, content: content[:-1] + b"?")
    with pytest.raises(DamagedError, match="not what the lock says"):
        made.go_over(made.supply(client, 10**9))
    assert made.known == {}
    assert list(tmp_path.rglob("sha256-*"))
    made.supply(Client(made.contents), 10**9)
    assert not list(tmp_path.rglob("sha256-*"))


def test_a_tensor_that_is_another_the_second_time(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 1, 1])
    client = Client(made.contents, change=lambda name, start, content: content if not start else content[:-1] + b"?")
    with pytest.raises(DamagedError, match="not what the lock says"):
        made.go_over(made.supply(client, 0))


def test_a_header_that_says_something_else_than_before(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 1, 1])
    for digest, origin in made.origins.items():
        other = frozenset((name, "I8", shape, start) for name, _, shape, start in origin.tensors)
        made.origins[digest] = Origin(origin.wanted, other, origin.places)
    with pytest.raises(DamagedError, match="not laid out as their headers said"):
        made.go_over(made.supply(Client(made.contents), 10**9))
    assert made.known == {}


def test_a_network_that_gives_up(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 1, 1])

    def broken(name: str, start: int, content: bytes) -> bytes:
        raise NoAnswer("gone", None)

    with pytest.raises(SourceError, match="the network gave up"):
        made.go_over(made.supply(Client(made.contents, change=broken), 10**9))


def test_a_file_that_two_sources_have_is_fetched_once(tmp_path: Path) -> None:
    made = world(tmp_path, SIZES, [1, 1, 1])
    base, a = (made.pinned[role]["f0.safetensors"] for role in ("base", "expert:a"))
    made.pinned["expert:a"] = made.pinned["base"]
    del made.origins[a.digest]
    origin = made.origins[base.digest]
    made.origins[base.digest] = Origin(origin.wanted, origin.tensors, (*origin.places, ("expert:a", "f0.safetensors")))
    made.tensors |= {("expert:a", name): value for (role, name), value in made.tensors.items() if role == "base"}
    client = Client(made.contents)
    made.go_over(made.supply(client, 10**9))
    assert sorted(file for file, _, _ in client.asked) == ["org/0/f0.safetensors", "org/2/f0.safetensors"]
