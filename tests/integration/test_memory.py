"""A merge keeps to the memory that its plan states, whatever the size of the model; and stops before it starts if it
cannot.

The checkpoints have half a billion parameters each and take no disk: they are links, as in the Hub's cache, to one file
of zeros with nothing behind it.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ramekin.merge.resources import Resources, memory_needed

GIB = 1 << 30
ROWS, WIDTH, LAYERS = 151_936, 896, 90  # an embedding of 272 MB, and 90 matrices of 8 MB each


def checkpoint(directory: Path, rows: int, layers: int) -> int:
    """Write a sparse checkpoint; returns how many parameters it has."""
    directory.mkdir()
    shapes = {"model.embed_tokens.weight": (rows, WIDTH)}
    shapes |= {f"model.layers.{layer}.mlp.up_proj.weight": (4864, WIDTH) for layer in range(layers)}
    header, end = {}, 0
    for name, (height, width) in shapes.items():
        header[name] = {"dtype": "BF16", "shape": [height, width], "data_offsets": [end, end + 2 * height * width]}
        end += 2 * height * width
    text = json.dumps(header).encode()
    with (directory / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    config = {"model_type": "llama", "vocab_size": rows, "hidden_size": WIDTH, "tie_word_embeddings": True}
    (directory / "config.json").write_text(json.dumps(config))
    words = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    (directory / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": words}))
    (directory / "README.md").write_text("---\nlicense: mit\n---\n")
    return end // 2


def laid_out(work: Path, rows: int, layers: int) -> int:
    """Lay out a merge with its lock; returns how many parameters each of its checkpoints has."""
    parameters = checkpoint(work / "base", rows, layers)
    for name in ("a", "b", "c"):
        (work / name).mkdir()
        for path in (work / "base").iterdir():
            (work / name / path.name).symlink_to(path)
    manifest = {
        "version": 1,
        "base": "./base",
        "experts": {name: f"./{name}" for name in ("a", "b", "c")},
        "method": {"name": "ram+"},
        "output": {"repo": "org/merged"},
    }
    (work / "merge.yaml").write_text(json.dumps(manifest))
    locked = ramekin(work, "lock", "merge.yaml")
    assert locked.returncode == 0, locked.stderr
    return parameters


def ramekin(work: Path, *arguments: str, limit: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HOME": str(work / "home"), "HF_HUB_OFFLINE": "1"}
    environment.pop("CI", None)
    return subprocess.run(
        [sys.executable, "-m", "ramekin", *arguments],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )


@pytest.mark.slow
def test_half_a_billion_parameters_in_three_gibibytes(tmp_path: Path) -> None:
    work = tmp_path
    assert laid_out(work, ROWS, LAYERS) > 500_000_000
    done = ramekin(work, "merge", "merge.yaml", "--out", "out", "--json", limit=3 * GIB)
    assert done.returncode == 0, done.stderr
    peak = json.loads(done.stdout)["cost"]["peak_rss_bytes"]
    assert peak < memory_needed(3, Resources()) < GIB, "what the plan states is kept, and is not idle talk"
    assert (work / "out/model.safetensors").stat().st_size > GIB * 0.95


COMMANDS = [("merge", "merge.yaml", "--out", "small"), ("stats", "merge.yaml")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("limit", [200 << 20, 300 << 20, 450 << 20, 600 << 20])
def test_a_limit_that_cannot_work_stops_it_before_it_starts(
    limit: int, command: tuple[str, ...], tmp_path: Path
) -> None:
    """What is needed depends on the numbers of experts and threads, not on what is merged, be it as little as here."""
    work = tmp_path
    laid_out(work, 64, 1)
    done = ramekin(work, *command, limit=limit)
    assert done.returncode == 8, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith(("error:", " hint:"))]
    assert len(errors) == 2
    assert "memory" in errors[0]
    assert not (work / "small").exists()
    assert not [path for path in work.iterdir() if "small" in path.name]


def test_models_at_work_count_too(tmp_path: Path) -> None:
    """`compare` would have a model in memory, with the libraries that run it, whatever the manifest's method."""
    laid_out(tmp_path, 64, 1)
    done = ramekin(tmp_path, "compare", "merge.yaml", limit=2 * GIB)
    assert done.returncode == 8, done.stderr
    assert "memory are needed" in done.stderr


def test_deriving_again_needs_what_a_merge_does(tmp_path: Path) -> None:
    laid_out(tmp_path, 64, 1)
    assert ramekin(tmp_path, "merge", "merge.yaml", "--out", "out").returncode == 0
    done = ramekin(tmp_path, "verify", "out", "--remerge", limit=600 << 20)
    assert done.returncode == 8, done.stderr
    assert "memory are needed" in done.stderr
    assert ramekin(tmp_path, "verify", "out", "--remerge").returncode == 0


def test_statistics_in_what_is_stated(tmp_path: Path) -> None:
    laid_out(tmp_path, 64, 1)
    done = ramekin(tmp_path, "stats", "merge.yaml", "--json", limit=3 * GIB)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patterns"]["000"] > 0
