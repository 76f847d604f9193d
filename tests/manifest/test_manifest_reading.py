"""Right manifests, in all the forms that they can be written in."""

import subprocess
import sys
from pathlib import Path

import pytest
from wrong_manifests import least, whole

from ramekin.manifest.model import CardTexts, Manifest, Source
from ramekin.manifest.reading import LoadedManifest, read_manifest
from ramekin.methods import METHODS, Method, RamPlus
from ramekin.methods.base import weights_of

COMPLETE = """\
version: 1
base: Qwen/Qwen2.5-7B-Instruct
experts:
  coder: Gen-Verse/ReasonFlux-Coder-7B
  tool:
    repo: emrecanacikgoz/Qwen2.5-7B-Instruct-ToolRL-grpo-cold
    revision: main
  memory: BytedTsinghua-SIA/RL-MemoryAgent-7B
method:
  name: ram+
  epsilon: 1.0e-5
  r: 0.1
  alpha: 2.0
output:
  repo: my-org/agent-7b
  private: true
  dtype: bfloat16
  shard_size: 5GB
  tag: null
card:
  title: Agent 7B
  summary: One generalist from three RL agents.
  license: apache-2.0
  language: [en]
"""


@pytest.fixture
def read(tmp_path: Path):
    def _read(text: str | bytes) -> LoadedManifest:
        path = tmp_path / "merge.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_manifest(path)

    return _read


def test_the_whole_of_it(read, tmp_path: Path) -> None:
    loaded = read(COMPLETE)
    manifest = loaded.manifest
    assert loaded.path == tmp_path / "merge.yaml"
    assert loaded.directory == tmp_path
    assert loaded.text == COMPLETE
    assert [*manifest.experts] == ["coder", "tool", "memory"]
    assert manifest.experts["tool"].revision == "main"
    assert manifest.method == RamPlus(epsilon=1e-5, r=0.1, alpha=2.0)
    assert manifest.output.shard_size == 5_000_000_000
    assert manifest.output.tag is None
    assert manifest.card.language == ("en",)


def test_every_key_has_its_line(read) -> None:
    loaded = read(COMPLETE)
    lines = COMPLETE.splitlines()
    for path, line in loaded.lines.items():
        name = path.rpartition(".")[2]
        assert not name or name.isdigit() or lines[line - 1].lstrip().startswith(f"{name}:")
    assert loaded.lines["experts.tool.revision"] == 7
    assert loaded.lines["card.language.0"] == 24
    assert loaded.line("experts.tool.revision.x.y") == 7
    assert loaded.line("experts.memory.repo") == 8
    assert loaded.line("nowhere") == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(read, end: str) -> None:
    loaded = read("# first\n\n".replace("\n", end) + COMPLETE.replace("\n", end))
    assert loaded.lines["version"] == 3
    assert loaded.lines["card.language"] == 26


def test_line_separators_within_a_line_are_not_counted(read) -> None:
    loaded = read(whole(base="base: org/base # a\u2028# b\x85# c\n"))
    assert loaded.lines["experts"] == 3


def test_a_byte_order_mark_is_no_matter(read) -> None:
    assert read(b"\xef\xbb\xbf" + COMPLETE.encode()).lines["version"] == 1


def test_json_is_yaml(read) -> None:
    manifest = read(
        '{"version": 1, "base": "o/b", "experts": {"a": {"path": "./a"}}, "method": {"name": "ram", "epsilon": 1e-5},'
        ' "output": {"repo": "me/x", "private": false}}'
    ).manifest
    assert manifest.experts["a"] == Source(path="./a")
    assert manifest.output.private is False


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("org/name", Source(repo="org/name")),
        ("org/name@main", Source(repo="org/name", revision="main")),
        ("org/name@refs/pr/1", Source(repo="org/name", revision="refs/pr/1")),
        ("org/name@feature--x", Source(repo="org/name", revision="feature--x")),
        ("org/name@" + "a" * 40, Source(repo="org/name", revision="a" * 40)),
        ("'  org/name '", Source(repo="org/name")),
        ("0rg/n_a-m.e", Source(repo="0rg/n_a-m.e")),
        ("./a/b", Source(path="./a/b")),
        ("../b", Source(path="../b")),
        (".", Source(path=".")),
        ("/abs/b", Source(path="/abs/b")),
        ("~/models/b", Source(path="~/models/b")),
        ("./with space/ünïcode", Source(path="./with space/ünïcode")),
        ("{repo: org/name}", Source(repo="org/name")),
        ("{repo: org/name, revision: null}", Source(repo="org/name")),
        ('{repo: org/name, revision: "1234567"}', Source(repo="org/name", revision="1234567")),
        ("{path: a/b}", Source(path="a/b")),
    ],
)
def test_forms_of_a_source(read, written: str, source: Source) -> None:
    assert read(whole(base=f"base: {written}\n")).manifest.base == source


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1", 1),
        ("5GB", 5 * 10**9),
        ("5 GB", 5 * 10**9),
        ("500MiB", 500 * 2**20),
        ("1.5kb", 1500),
        ("0.1GB", 10**8),  # exact, although 0.1 is not
        ("2000000000", 2 * 10**9),
        ("1000TB", 10**15),
        ("0x10", 16),
        ("null", None),
    ],
)
def test_sizes(read, written: str, size: int | None) -> None:
    assert read(whole(output=f"output:\n  repo: me/x\n  shard_size: {written}\n")).manifest.output.shard_size == size


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-5", 1e-5), ("0", 0.0), ("3", 3.0), (".5", 0.5), ("+1.", 1.0), ("1E2", 100.0), ("012", 12.0)],
)
def test_numbers_are_those_of_yaml_1_2(read, written: str, value: float) -> None:
    epsilon = read(whole(method=f"method:\n  name: ram\n  epsilon: {written}\n")).manifest.method.epsilon
    assert epsilon == value
    assert isinstance(epsilon, float)


@pytest.mark.parametrize("written", ["no", "'no'", "[no]", "- no"])
def test_norwegian(read, written: str) -> None:
    text = f"card:\n  language:\n    {written}\n"
    assert read(whole(card=text)).manifest.card.language == ("no",)


@pytest.mark.parametrize("title", ["エージェント\u30007B", "👩\u200d🚀 Agent", "a\u00a0b", "2026-01-01", "yes", "a: b"])
def test_titles_in_any_script(read, title: str) -> None:
    assert read(whole(card=f'card:\n  title: "{title}"\n')).manifest.card.title == title


def test_long_texts(read) -> None:
    summary = "  summary: |\n    First *line*.\n\n    Second.\n"
    loaded = read(whole(card=f"card:\n{summary}  title: >\n    folded\n    title\n"))
    assert loaded.manifest.card.summary == "First *line*.\n\nSecond."
    assert loaded.manifest.card.title == "folded title"
    assert loaded.lines["card.title"] == 15


@pytest.mark.parametrize("method", METHODS)
def test_methods_have_defaults(read, method: type[Method]) -> None:
    made = read(whole(method=least(method))).manifest.method
    assert type(made) is method
    # RAM's family does not show a factor that the paper does not have, nor do others how else neurons may be watched.
    shown = {key: info for key, info in method.fields().items() if key not in {"shared", "saliency", "shift"}}
    assert all(made.parameters()[key] == info.default for key, info in shown.items() if not info.is_required())
    assert [*made.parameters()] == [*shown]


def test_weights_for_all_and_by_name(read) -> None:
    def weights(written: str, name: str = "dare") -> tuple[float, ...]:
        method = read(whole(method=f"method: {{name: {name}, weight: {written}}}\n")).manifest.method
        return weights_of(method.weight, ("coder", "tool"))

    assert weights("null") == (0.5, 0.5)
    assert weights("2") == (2.0, 2.0)
    assert weights("{tool: -1, coder: 0.25}") == (0.25, -1.0)
    assert weights("{tool: 0, coder: 3}", "ties") == (3.0, 0.0)


def test_a_parameter_whose_name_is_a_word_of_python(read) -> None:
    method = read(whole(method="method: {name: ties, lambda: 0.5}\n")).manifest.method
    assert method.scale == 0.5
    assert method.parameters() == {"density": 0.2, "weight": 1.0, "lambda": 0.5}


def test_weights_are_the_same_in_any_order_and_every_parameter_counts(read) -> None:
    def canonical(parameters: str) -> dict[str, object]:
        return read(whole(method=f"method: {{name: dare-ties, {parameters}}}\n")).manifest.canonical()

    one = canonical("weight: {coder: 1, tool: 2}")
    assert canonical("weight: {tool: 2.0, coder: 1.0}, lambda: 1, seed: 0, drop_rate: 0.5") == one
    for other in ("weight: {coder: 2, tool: 1}", "lambda: 2", "seed: 1", "drop_rate: 0.25", "weight: 1"):
        assert canonical(f"weight: {{coder: 1, tool: 2}}, {other}" if "weight" not in other else other) != one


def test_an_empty_card(read) -> None:
    assert read(whole(card="card: {}\n")).manifest.card == CardTexts()


def test_aliases_within_bounds(read) -> None:
    base = "base: {repo: org/base, revision: &v v1}\n"
    manifest = read(whole(base=base, experts="experts:\n  a: {repo: o/a, revision: *v}\n")).manifest
    assert manifest.experts["a"].revision == "v1"


def test_the_same_repository_at_two_revisions(read) -> None:
    experts = "experts:\n  a: org/x@v1\n  b: org/x@v2\n  c: ./x\n  d: ./y\n"
    assert len(read(whole(experts=experts)).manifest.experts) == 4


def test_the_order_of_experts_is_part_of_what_is_merged_and_card_texts_are_not(read) -> None:
    one = read(whole(experts="experts:\n  a: o/a\n  b: o/b\n")).manifest.canonical()
    other = read(whole(experts="experts:\n  b: o/b\n  a: o/a\n")).manifest.canonical()
    assert one != other
    assert read(whole(experts="experts:\n  a: o/a\n  b: o/b\n", card="card:\n  title: T\n")).manifest.canonical() == one


def test_spelling_is_not_part_of_what_is_merged(read) -> None:
    short = read(whole(base="base: org/base@v1\n", method="method: {name: ram+, alpha: 2}\n")).manifest
    long = read(whole(base="base:\n  revision: v1\n  repo: org/base\n")).manifest
    assert short.canonical() == long.canonical()
    assert isinstance(short, Manifest)


def test_reading_needs_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "huggingface_hub", "jinja2", "rich")
    code = f"import sys, ramekin.manifest.reading; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
