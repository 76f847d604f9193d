"""How soon a command answers: `ramekin --help`, and `ramekin plan` of four repositories of 7 B parameters.

The repositories have the tensors of Qwen2.5-7B in four shards each, are served by the embedded Hub on loopback, and
are holes behind true headers, since a plan reads nothing else. Every figure is the median of fresh processes:

    python benchmarks/startup.py --rounds 5

With `--requests` it also prints what one plan asks of the Hub.
"""

import argparse
import collections
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ramekin.demo.family import Size, checkpoint_files
from ramekin.hub import Hub, Sparse, serve

LAYERS, HIDDEN, WIDTH, KEYS, VOCABULARY = 28, 3584, 18944, 512, 152064
SHARDS = 4
EXPERTS = ("coder", "tool", "memory")
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
}
MANIFEST = "version: 1\nbase: demo/base\nexperts:\n{experts}method:\n  name: ram+\noutput:\n  repo: demo/agent\n"


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of Qwen2.5-7B."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        found |= {f"{prefix}.{norm}_layernorm.weight": (HIDDEN,) for norm in ("input", "post_attention")}
        for name, rows in (("q", HIDDEN), ("k", KEYS), ("v", KEYS)):
            found[f"{prefix}.self_attn.{name}_proj.bias"] = (rows,)
            found[f"{prefix}.self_attn.{name}_proj.weight"] = (rows, HIDDEN)
        found[f"{prefix}.self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        found |= {f"{prefix}.mlp.{name}_proj.weight": (WIDTH, HIDDEN) for name in ("gate", "up")}
        found[f"{prefix}.mlp.down_proj.weight"] = (HIDDEN, WIDTH)
    return found | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def weights() -> dict[str, Sparse | bytes]:
    """The shards and their index."""
    tensors = list(shapes().items())
    share = math.ceil(len(tensors) / SHARDS)
    files: dict[str, Sparse | bytes] = {}
    placed = {}
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for tensor, shape in tensors[number * share : (number + 1) * share]:
            begin, end = end, end + 2 * math.prod(shape)
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
            placed[tensor] = name
        text = json.dumps(header).encode()
        files[name] = Sparse(len(text).to_bytes(8, "little") + text, end)
    total = sum(2 * math.prod(shape) for _, shape in tensors)
    files["model.safetensors.index.json"] = json.dumps(
        {"metadata": {"total_size": total}, "weight_map": placed}
    ).encode()
    return files


def fill(hub: Hub) -> None:
    """Put the base and three experts on the Hub; they differ in the digest of their weights."""
    small = checkpoint_files({}, Size(), "---\nlicense: apache-2.0\n---\n")
    del small["model.safetensors"]
    small["config.json"] = json.dumps(CONFIG).encode()
    for number, name in enumerate(("base", *EXPERTS)):
        files = weights()
        for shard, (path, content) in enumerate(files.items()):
            if isinstance(content, Sparse):
                digest = f"{number:032x}{shard:032x}"
                files[path] = Sparse(content.header, content.hole, digest)
        hub.store.create_repo(f"demo/{name}")
        hub.store.commit(f"demo/{name}", {**small, **files})


def timed(command: list[str], directory: Path, environment: dict[str, str]) -> float:
    """Wall seconds of a process that has to succeed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return seconds


def show_requests(hub: Hub) -> None:
    """What was asked of the Hub."""
    asked = hub.log.requests()
    print(f"{len(asked)} requests, {sum(one.sent for one in asked):,} bytes")
    for line, count in collections.Counter(f"{r.method} {r.target} {r.range or ''}" for r in asked).items():
        print(f"  {count} x {line}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", action="store_true", help="also print what one plan asks of the Hub")
    chosen = parser.parse_args()
    ramekin = [sys.executable, "-m", "ramekin"]
    with tempfile.TemporaryDirectory(prefix="ramekin-startup-") as name, serve(Path(name) / "hub") as hub:
        work = Path(name) / "work"
        work.mkdir()
        fill(hub)
        experts = "".join(f"  {expert}: demo/{expert}\n" for expert in EXPERTS)
        (work / "merge.yaml").write_text(MANIFEST.format(experts=experts))
        environment = {key: value for key, value in hub.env(work / "home").items() if key != "CI"}
        rows = {
            "python -c pass": ([sys.executable, "-c", "pass"], False),
            "ramekin --help": ([*ramekin, "--help"], False),
            "ramekin plan, no lock yet": ([*ramekin, "plan"], True),
            "ramekin plan, locked": ([*ramekin, "plan"], False),
        }
        load = os.getloadavg()
        times: dict[str, list[float]] = {row: [] for row in rows}
        timed(rows["ramekin plan, locked"][0], work, environment)  # byte code and page cache
        for _ in range(chosen.rounds):
            for row, (command, afresh) in rows.items():
                if afresh:
                    (work / "merge.lock").unlink()
                times[row].append(timed(command, work, environment))
        if chosen.requests:
            (work / "merge.lock").unlink()
            hub.log.clear()
            timed([*ramekin, "plan"], work, environment)
            show_requests(hub)
    loads = f"load {load[0]:.1f} before and {os.getloadavg()[0]:.1f} after"
    print(f"{os.cpu_count()} cores, {loads}, {chosen.rounds} rounds")
    print(f"{'':<28}{'median':>8}{'best':>8}{'worst':>8}  seconds")
    for row, taken in times.items():
        print(f"{row:<28}{statistics.median(taken):8.3f}{min(taken):8.3f}{max(taken):8.3f}")


if __name__ == "__main__":
    main()
