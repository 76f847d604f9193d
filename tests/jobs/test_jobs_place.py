"""What `--on` and its companions may say."""

import pytest

from ramekin.environment import Environment
from ramekin.errors import UsageError
from ramekin.jobs.asked import Asked
from ramekin.jobs.place import Place


def test_a_place_is_a_machine_with_defaults() -> None:
    assert Place.read("hf-jobs:a10g-small", Asked()) == Place("a10g-small", "python:3.12", 21_600, None)


def test_variables_say_more_and_options_count_before_them() -> None:
    variables = {"RAMEKIN_JOB_IMAGE": "org/image:1", "RAMEKIN_JOB_TIMEOUT": "90m", "RAMEKIN_JOB_NAMESPACE": " org "}
    asked = Environment.read(variables).jobs
    assert Place.read("hf-jobs:h200", asked) == Place("h200", "org/image:1", 5400, "org")
    assert Place.read("hf-jobs:h200", Asked(timeout="2d").over(asked)).timeout == 172_800


@pytest.mark.parametrize(
    "text", ["", "hf-jobs", "hf-jobs:", "hf-jobs:-x", "hf-jobs:A B", "jobs:cpu-basic", "hf-jobs:a\n"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError, match="no place"):
        Place.read(text, Asked())


@pytest.mark.parametrize("asked", [Asked("-v"), Asked("a b"), Asked(None, "0"), Asked(None, "31d"), Asked(None, "-1h")])
def test_what_can_be_said_of_no_job(asked: Asked) -> None:
    with pytest.raises(UsageError, match="no "):
        Place.read("hf-jobs:cpu-basic", asked)
    with pytest.raises(UsageError, match="no namespace"):
        Place.read("hf-jobs:cpu-basic", Asked(namespace="../x"))
