"""What the harness reports, as our own data."""

import math
from typing import Any

import numpy as np
import pytest

from ramekin.evaluation.harness_process import _kind, _measured, _RefusedError


def results(**parts: Any) -> dict[str, Any]:
    return {"results": {}, "higher_is_better": {}, "n-samples": {}, "versions": {}, "n-shot": {}} | parts


def test_a_task_with_two_filters() -> None:
    scores = {
        "name": "gsm8k", "alias": "gsm8k", "sample_len": 7,
        "exact_match,strict-match": np.float64(0.25), "exact_match_stderr,strict-match": 0.1,
        "exact_match,flexible-extract": 0.5, "exact_match_stderr,flexible-extract": "N/A",
    }  # fmt: skip
    found = _measured(
        "gsm8k",
        results(
            results={"gsm8k": scores},
            higher_is_better={"gsm8k": {"exact_match": True}},
            **{"n-samples": {"gsm8k": {"original": 1319, "effective": 7}}, "n-shot": {"gsm8k": 5}},
            versions={"gsm8k": 3.0},
        ),
    )
    assert found == {
        "task": "gsm8k",
        "found": [
            {
                "metric": "exact_match,strict-match", "value": 0.25, "stderr": 0.1, "samples": 7,
                "higher_is_better": True,
            },
            {
                "metric": "exact_match,flexible-extract", "value": 0.5, "stderr": None, "samples": 7,
                "higher_is_better": True,
            },
        ],
        "details": {"examples in the prompt": "5", "version of the task": "3.0"},
    }  # fmt: skip
    assert all(type(each["value"]) is float for each in found["found"])


def test_what_counts_down_and_what_says_nothing_about_it() -> None:
    scores = {"word_perplexity,none": 12.5, "acc,none": np.float32(0.5), "odd,none": 1}
    ways = {"wiki": {"word_perplexity": False, "acc": True, "odd": None}}
    found = _measured("wiki", results(results={"wiki": scores}, higher_is_better=ways))["found"]
    assert [(each["metric"], each["value"], each["higher_is_better"]) for each in found] == [
        ("word_perplexity", 12.5, False), ("acc", 0.5, True), ("odd", 1.0, True),
    ]  # fmt: skip


def test_a_group_has_the_items_that_its_score_is_of() -> None:
    scores = {
        "name": "mmlu",
        "sample_len": 12,
        "acc,none": 0.3,
        "acc_stderr,none": 0.1,
        "sample_count": {"acc,none": 6},
    }
    (found,) = _measured("mmlu", results(results={"mmlu": scores, "mmlu_a": {"acc,none": 1.0}}))["found"]
    assert (found["metric"], found["value"], found["samples"]) == ("acc", 0.3, 6)


def test_not_a_number_is_passed_on_to_be_refused() -> None:
    (found,) = _measured("x", results(results={"x": {"acc,none": float("nan")}}))["found"]
    assert math.isnan(found["value"])


@pytest.mark.parametrize("scores", [{}, {"alias": "x", "sample_len": 3}, {"acc,none": "N/A"}])
def test_a_task_without_any_score(scores: dict[str, Any]) -> None:
    with pytest.raises(_RefusedError, match="reports no score"):
        _measured("x", results(results={"x": scores}))


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class DatasetNotFoundError(FileNotFoundError):
    """Named as the one of `datasets` is."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("CUDA out of memory"), "memory"),
        (MemoryError(), "memory"),
        (DatasetNotFoundError("gone"), "source"),
        (ConnectionError("no route"), "source"),
        (_RefusedError("empty", "x"), "empty"),
        (ValueError("Attempted to run task: x which is marked as unsafe."), "unsafe"),
        (ValueError("anything"), "failed"),
        (KeyError("x"), "failed"),
    ],
)
def test_what_sort_of_a_failure_it_is(error: Exception, kind: str) -> None:
    assert _kind(error) == kind
