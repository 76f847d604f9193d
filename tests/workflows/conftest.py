"""The linter of workflows and the tool of releases, which are scripts, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def linter() -> ModuleType:
    return _script("workflows")


@pytest.fixture(scope="session")
def releasing() -> ModuleType:
    return _script("release")
