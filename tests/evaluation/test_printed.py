"""What programs of users print: the scores that are meant, or why there are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.evaluation.printed import PrintedError, read_scores

DAY = "2026-01-02"


def values(out: str) -> dict[str, float]:
    return {task: each.found[0].value for task, each in read_scores(out.encode(), DAY).items()}


@pytest.mark.parametrize(
    ("out", "found"),
    [
        ('{"gsm8k": 0.5}', {"gsm8k": 0.5}),
        ('  {"gsm8k": 1}  \n\n', {"gsm8k": 1.0}),
        ('loading\n{"a": 0.1}\n{"a": 0.2, "b": 0}\n', {"a": 0.2, "b": 0.0}),
        ('{"step": 1}\nwarning: {odd}\n{"a": 0.5}\ndone\n', {"a": 0.5}),
        ("some text\n" + json.dumps({"a": {"value": 0.5}, "b": 0.25}, indent=2), {"a": 0.5, "b": 0.25}),
        (json.dumps({"a": {"value": 0.5}}, indent=0) + "\ngood bye", {"a": 0.5}),
        ('{"a": 0.5}\n{"half": ', {"a": 0.5}),
        ('{"ein Märchen": -3.5e2}', {"ein Märchen": -350.0}),
    ],
)
def test_the_last_object_counts(out: str, found: dict[str, float]) -> None:
    assert values(out) == found


def test_all_that_can_be_said_of_a_score() -> None:
    said = {"value": 0.5, "stderr": 0.01, "samples": 100, "metric": "exact_match", "higher_is_better": False}
    (measurement,) = read_scores(json.dumps({"gsm8k": said}).encode(), DAY).values()
    assert measurement.date == DAY
    assert measurement.found[0].model_dump() == said
    (plain,) = read_scores(b'{"gsm8k": 0.5}', DAY).values()
    assert plain.found[0].model_dump() == {
        "value": 0.5, "stderr": None, "samples": None, "metric": "score", "higher_is_better": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("", "printed nothing"),
        (" \n ", "printed nothing"),
        ("0.5", "printed no JSON object, but `0.5`"),
        ("[0.5]", "printed no JSON object, but `\\[0.5\\]`"),
        ("it is {'a': 0.5}", "printed no JSON object"),
        ('the score is {"a": 0.5}', "printed no JSON object"),
        ('{"a": 0.5} and more', "printed no JSON object"),
        ("{}", "without any task"),
        ('{"a": NaN}', "printed NaN, which is no score"),
        ('{"a": {"value": -Infinity}}', "printed -Infinity, which is no score"),
        ('{"a": 1e999}', "`a.value` is refused"),
        ('{"a": "0.5"}', "`a.value` is refused"),
        ('{"a": true}', "`a.value` is refused"),
        ('{"a": null}', "`a.value` is refused"),
        ('{"a": [0.5]}', "`a.value` is refused"),
        ('{"a": {"score": 0.5}}', "`a.value` is refused"),
        ('{"a": {"value": 0.5, "std": 1}}', "`a.std` is not a known key"),
        ('{"a": {"value": 0.5, "stderr": -1}}', "`a.stderr` is refused"),
        ('{"a": {"value": 0.5, "samples": 1.5}}', "`a.samples` is refused"),
        ('{"a": {"value": 0.5, "higher_is_better": 1}}', "`a.higher_is_better` is refused"),
        ('{"a": {"value": 0.5, "metric": "x\\ny"}}', "is no name"),
        ('{"": 0.5}', "is no name of a task"),
        ('{"a\\u202eb": 0.5}', "is no name of a task"),
        ('{"a": 0.5, "a": 0.6}', "printed `a` twice"),
        (json.dumps({"x" * 201: 1}), "is no name of a task"),
        (json.dumps({str(number): 1 for number in range(257)}), "more than 256 tasks"),
        ('{"a":\n' * 3_000, "printed no JSON object"),
        ('{"a":' * 100_000, "printed no JSON object"),
        ("{\n" * 200_000, "printed no JSON object"),
    ],
)
def test_anything_else_is_refused(out: str, why: str) -> None:
    with pytest.raises(PrintedError, match=why):
        read_scores(out.encode(), DAY)


def test_bytes_that_are_no_text() -> None:
    assert values('{"a": 0.5}\n') == {
        task: m.found[0].value for task, m in read_scores(b'\xff\n{"a": 0.5}', DAY).items()
    }


NAMES = st.text(st.characters(categories=("L", "N"), include_characters="-_ "), min_size=1, max_size=20)
SCORES = st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5)
NOISE = st.lists(st.text(st.characters(exclude_characters="{", exclude_categories=("Cs",)), max_size=30), max_size=4)


@given(before=NOISE, scores=SCORES, indent=st.sampled_from([None, 0, 2]), after=NOISE)
def test_whatever_else_is_printed_the_scores_are_found(
    before: list[str], scores: dict[str, float], indent: int | None, after: list[str]
) -> None:
    text = "\n".join([*before, json.dumps(scores, indent=indent), *after])
    assert values(text) == pytest.approx(scores, rel=0)
