"""Torch computes with one thread here: several take longer for models as tiny as these, and wait by spinning."""

import os
from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def several_threads() -> Iterator[None]:
    """As many as torch takes by itself on this machine, and two at least."""
    torch.set_num_threads(max(2, len(os.sched_getaffinity(0))))
    yield
    torch.set_num_threads(1)
