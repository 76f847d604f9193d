"""What is kept of models that were measured, and what counts as the same question."""

from pathlib import Path

import pytest

from ramekin.evaluation.measurements import Found, Measurement, ScoreStore, content_digest, score_key

FILTERED = Measurement(
    found=(
        Found(metric="exact_match,strict-match", value=0.1),
        Found(metric="exact_match,flexible-extract", value=0.2),
    ),
    date="2026-01-02",
)
PLAIN = Measurement(
    found=(
        Found(metric="acc", value=0.5, stderr=0.01, samples=7),
        Found(metric="ppl", value=3, higher_is_better=False),
    ),
    details={"items": "the first 7"},
    date="2026-01-02",
)


@pytest.mark.parametrize(
    ("measurement", "metric", "value"),
    [
        (PLAIN, None, 0.5),
        (PLAIN, "acc", 0.5),
        (PLAIN, "ppl", 3.0),
        (PLAIN, "acc_norm", None),
        (FILTERED, None, 0.1),
        (FILTERED, "exact_match", 0.1),
        (FILTERED, "exact_match,flexible-extract", 0.2),
        (FILTERED, "flexible-extract", None),
    ],
)
def test_the_score_that_counts(measurement: Measurement, metric: str | None, value: float | None) -> None:
    found = measurement.choose(metric)
    assert (found.value if found else None) == value


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "measured")
    assert store.get("a" * 64) == {}
    store.put("a" * 64, {"mmlu": PLAIN, "gsm8k": FILTERED}, {"model": "base"})
    assert store.get("a" * 64) == {"mmlu": PLAIN, "gsm8k": FILTERED}
    assert store.get("b" * 64) == {}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b'{"about": {}, "tasks": {"a": {"found": [], "date": "x"}}}', b"\xff"]
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    store = ScoreStore(tmp_path)
    store.put("a" * 64, {"mmlu": PLAIN}, {})
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert store.get("a" * 64) == {}


def test_every_part_of_a_question_counts() -> None:
    keys = {
        score_key("m", "lm-eval 1", {"limit": 1}),
        score_key("n", "lm-eval 1", {"limit": 1}),
        score_key("m", "lm-eval 2", {"limit": 1}),
        score_key("m", "lm-eval 1", {"limit": 2}),
    }
    assert len(keys) == 4
    assert score_key("m", "lm-eval 1", {"limit": 1}) in keys


def test_files_count_by_their_names_and_content(tmp_path: Path) -> None:
    def digest() -> str:
        return content_digest([tmp_path / "tasks", tmp_path / "one.jsonl"], tmp_path)

    seen = [digest()]
    (tmp_path / "tasks").mkdir()
    for name in ("one.jsonl", "tasks/a.yaml", "tasks/deep/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        seen.append(digest())
    (tmp_path / "tasks/a.yaml").write_text("y")
    seen.append(digest())
    (tmp_path / "tasks/a.yaml").rename(tmp_path / "tasks/c.yaml")
    seen.append(digest())
    assert len({*seen}) == len(seen)

    (tmp_path / "tasks/__pycache__").mkdir()
    (tmp_path / "tasks/__pycache__/b.pyc").write_text("z")
    (tmp_path / "unrelated").write_text("z")
    assert digest() == seen[-1], "what python leaves, and what nobody named, does not count"
    elsewhere = tmp_path.with_name("elsewhere")
    tmp_path.rename(elsewhere)
    assert content_digest([elsewhere / "tasks", elsewhere / "one.jsonl"], elsewhere) == seen[-1]
