"""The benchmark of tracing: what it counts, and that it says what is aimed at."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "benchmarks/tracing.py"


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("tracing_bench", PATH)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_arithmetic_of_a_real_model(bench: Any) -> None:
    """Qwen3-8B: 13.9 GFLOP a token for its blocks, 1.8 more for attention in a text of 6,000 tokens."""
    work = bench.Work(blocks=6_946_000_000, attention=32 * 128 * 36)
    assert work.flops(6_000) / 6_000 == pytest.approx(13.9e9 + 1.8e9, rel=0.005)
    assert work.flops(6_000, 5_000) == work.flops(6_000) - work.flops(5_000)
    assert work.flops(0) == 0


def test_a_prefix_is_counted_once(bench: Any) -> None:
    texts = bench.trajectories(3, 70, 20, 100)
    work = bench.Work(blocks=1_000, attention=0)
    own = sum(text.needed - 70 for text in texts)
    assert work.of_texts(texts) == 2_000 * (own + 3 * 70)
    assert work.of_texts(texts, 70) == 2_000 * (own + 70)


def test_both_shapes_with_their_targets(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    small |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    monkeypatch.setattr(bench, "MODELS", {"smollm2-135m": small})
    monkeypatch.setattr(sys, "argv", ["tracing.py", "--rounds", "2", "--longest", "16"])
    bench.main()
    out = capsys.readouterr().out
    assert re.findall(r"^(\d+) trajectories, .* the first ([\d,]+) the same", out, re.MULTILINE) == [
        ("16", "384"),
        ("12", "1,024"),
    ]
    assert (
        len(
            re.findall(
                r"^- trace, prefix read for each: [\d.]+ of the bare forward; aimed at: 0.9, ", out, re.MULTILINE
            )
        )
        == 2
    )
    assert len(re.findall(r"^- trace: [\d.]+ times one by one; aimed at: 4, (?:not )?reached$", out, re.MULTILINE)) == 2
    assert "MFU" not in out


def test_what_a_gpu_could_do(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert bench.peak_of("cuda", "bfloat16", None) == 989e12
    assert bench.peak_of("cuda", "float32", None) is None
    assert bench.peak_of("cuda", "float32", 67) == 67e12
    assert bench.peak_of("cpu", "bfloat16", None) is None
    monkeypatch.setattr(bench.torch.cuda, "get_device_name", lambda: "another")
    assert bench.peak_of("cuda", "bfloat16", None) is None
