"""How fast trajectories are traced, against merely reading them, and against the obvious way.

A model with the shape of a published one and random weights reads trajectories that begin with one system prompt, as
those of agents do. All in one run, by turns, for a short prompt and for a long one:

- **trace**: ramekin's, of a role that has some tokens in each trajectory;
- **trace, prefix read for each**: the same, but what all have in common is read again and again;
- **bare forward**: the decoder alone reads the same batches, nothing is looked at;
- **one by one**: the whole model, one trajectory at a time, all activations kept to the end of it.

What is aimed at stands below each table: looking is to cost no more than a tenth of reading, and the whole is to be
four times as fast as one by one.

    python benchmarks/tracing.py --rounds 3
    python benchmarks/tracing.py --device cuda --model qwen3-8b --longest 4096 --budget 16384

On a GPU there are two columns more: the most memory that was allocated, and model FLOP utilisation, the arithmetic of
the tokens that were read, padding apart, as part of what the GPU could do in that time.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
import transformers
from torch import nn

from ramekin.arm.architecture import Layer, find_layers
from ramekin.arm.tracing import LEAST_PREFIX, Text, batches, common_prefix, padded, trace

LOOKING: Final = 0.9
"""Tokens a second of tracing, the prefix read for each, as part of the bare forward's: at least."""

FASTER: Final = 4.0
"""Times as fast as one trajectory at a time with everything kept: at least."""

SHAPES: Final = ("16x384", "12x1024")
"""Trajectories, and tokens that all of them begin with."""

MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "smollm2-135m": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1_536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
    "qwen3-8b": {
        "vocab_size": 151_936,
        "hidden_size": 4_096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}

PEAKS: Final[Mapping[str, float]] = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "H20": 148,
    "A100": 312,
    "L40S": 362,
    "A10G": 70,
    "L4": 121,
}
"""TFLOP/s in bfloat16, without sparsity, as makers state them, by a part of the device's name; the first that fits."""


def build(model: str, dtype: torch.dtype, device: str) -> nn.Module:
    config = transformers.LlamaConfig(**MODELS[model], max_position_embeddings=32_768, tie_word_embeddings=True)
    torch.manual_seed(0)
    with torch.device(device):
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return made.eval()


def trajectories(number: int, prompt: int, longest: int, vocabulary: int) -> list[Text]:
    """Texts of many lengths, a fifth of whose own tokens are in the role."""
    generator = np.random.default_rng(0)

    def draw(size: int) -> tuple[int, ...]:
        return tuple(generator.integers(3, vocabulary, size).tolist())

    shared, texts = draw(prompt), []
    for _ in range(number):
        own = int(generator.integers(longest // 4, longest))
        chosen = generator.random(own) < 0.2
        chosen[-1] = True
        texts.append(Text(shared + draw(own), {"role": tuple((prompt + np.flatnonzero(chosen)).tolist())}))
    return texts


def bare(model: nn.Module, texts: Sequence[Text], budget: int) -> None:
    """Read the same batches as `trace` without the prefix."""
    decoder, device = model.get_decoder(), next(model.parameters()).device
    with torch.inference_mode():
        for batch in batches([text.needed for text in texts], budget):
            decoder(input_ids=padded([texts[index].ids for index in batch], device), use_cache=False)


def one_by_one(model: nn.Module, layers: Sequence[Layer], texts: Sequence[Text]) -> None:
    """What one writes first: the whole model, everything kept, the role picked at the end."""
    device, sums = next(model.parameters()).device, [torch.zeros(layer.width) for layer in layers]
    for text in texts:
        kept: list[torch.Tensor] = []
        hooks = [
            model.get_submodule(layer.projection).register_forward_pre_hook(
                lambda _, args, kept=kept: kept.append(args[0].detach().float().cpu())
            )
            for layer in layers
        ]
        with torch.no_grad():
            model(input_ids=torch.tensor([text.ids], device=device))
        for hook in hooks:
            hook.remove()
        sums = [total + z[0].abs()[[*text.roles["role"]]].mean(0) for total, z in zip(sums, kept, strict=True)]


@dataclass(frozen=True)
class Work:
    """What reading costs: `F = 2 * P_blocks + 2 * s * n_q * h_d * L` a token, in a causal text of s tokens.

    Attributes:
        blocks: Parameters of the blocks; the embedding is looked up, and the head is left out.
        attention: Heads times their size times layers.
    """

    blocks: int
    attention: int

    @classmethod
    def of(cls, model: nn.Module) -> "Work":
        config, blocks = model.config, model.get_decoder().layers
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        count = sum(parameter.numel() for parameter in blocks.parameters())
        return cls(count, config.num_attention_heads * size * config.num_hidden_layers)

    def flops(self, tokens: int, before: int = 0) -> int:
        """Of a text's tokens, those that are read `before` it apart."""
        each = (2 * self.blocks * length + 2 * self.attention * length**2 for length in (tokens, before))
        return next(each) - next(each)

    def of_texts(self, texts: Sequence[Text], shared: int = 0) -> int:
        """Of all texts, what they share read once."""
        return self.flops(shared) + sum(self.flops(text.needed, shared) for text in texts)


def peak_of(device: str, dtype: str, stated: float | None) -> float | None:
    """What the device could do, in FLOP/s: as stated, or by its name; None where that is not known."""
    if stated is not None:
        return stated * 1e12
    if device == "cpu" or dtype != "bfloat16":
        return None
    name = torch.cuda.get_device_name()
    return next((peak * 1e12 for part, peak in PEAKS.items() if part in name), None)


@dataclass
class Taken:
    """What one way took: seconds by round, and the most memory."""

    seconds: list[float]
    memory: int = 0

    def times(self, other: "Taken") -> float:
        """How many times as fast as another way, in the middle of the rounds."""
        return statistics.median(its / own for its, own in zip(other.seconds, self.seconds, strict=True))


def take_turns(ways: Mapping[str, Callable[[], object]], rounds: int, *, cuda: bool) -> dict[str, Taken]:
    """Each way in each round, after one that warms up."""
    found = {way: Taken([]) for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            run()
            if cuda:
                torch.cuda.synchronize()
                found[way].memory = max(found[way].memory, torch.cuda.max_memory_allocated())
            if number:
                found[way].seconds.append(time.perf_counter() - start)
    return found


BARE, TRACE, EACH, SLOW = "bare forward", "trace", "trace, prefix read for each", "one by one"


def show(found: Mapping[str, Taken], tokens: int, work: Mapping[str, int], peak: float | None) -> None:
    """A table of all ways, and what is aimed at beside what was reached."""
    cuda = any(taken.memory for taken in found.values())
    print("| way | s | tokens a second | of the bare forward's | of one by one's |" + " peak GB | MFU |" * cuda)
    print("|---|--:|--:|--:|--:|" + "--:|--:|" * cuda)
    for way, taken in found.items():
        middle = statistics.median(taken.seconds)
        ratios = f"{taken.times(found[BARE]):.2f} | {taken.times(found[SLOW]):.2f}"
        used = f"{work[way] / middle / peak:.1%}" if peak else "?"
        more = f" {taken.memory / 1e9:.2f} | {used} |" if cuda else ""
        print(f"| {way} | {middle:.2f} | {tokens / middle:,.0f} | {ratios} |{more}")
    print()
    looking, faster = found[EACH].times(found[BARE]), found[TRACE].times(found[SLOW])
    for what, reached, least in (
        (f"{EACH}: {looking:.2f} of the bare forward", looking, LOOKING),
        (f"{TRACE}: {faster:.2f} times {SLOW}", faster, FASTER),
    ):
        print(f"- {what}; aimed at: {least:g}, {'reached' if reached >= least else 'not reached'}")
    print()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="trajectories x tokens that all begin with")
    parser.add_argument("--longest", type=int, default=256, help="tokens that one has beside them, at most")
    parser.add_argument("--budget", type=int, default=4096, help="tokens of a batch")
    parser.add_argument("--model", default="smollm2-135m", choices=[*MODELS])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="float32 on a processor, else bfloat16")
    parser.add_argument("--peak-tflops", type=float, help="what the GPU could do, where its name is not known")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    cuda = chosen.device != "cpu"
    dtype = chosen.dtype or ("bfloat16" if cuda else "float32")
    model = build(chosen.model, getattr(torch, dtype), chosen.device)
    layers, work, peak = find_layers(model), Work.of(model), peak_of(chosen.device, dtype, chosen.peak_tflops)
    name = torch.cuda.get_device_name() if cuda else "cpu"
    for shape in chosen.shapes.split(","):
        number, prompt = map(int, shape.split("x"))
        texts = trajectories(number, prompt, chosen.longest, MODELS[chosen.model]["vocab_size"])
        ways: dict[str, Callable[[], object]] = {
            BARE: partial(bare, model, texts, chosen.budget),
            TRACE: partial(trace, model, layers, texts, budget=chosen.budget),
            EACH: partial(trace, model, layers, texts, budget=chosen.budget, reuse_prefix=False),
            SLOW: partial(one_by_one, model, layers, texts),
        }
        tokens = sum(text.needed for text in texts)
        shared = common_prefix(texts)
        flops = dict.fromkeys(ways, work.of_texts(texts))
        flops[TRACE] = work.of_texts(texts, shared if shared >= LEAST_PREFIX else 0)
        print(
            f"{number} trajectories, {tokens:,} tokens, the first {prompt:,} the same, up to {chosen.longest:,} more;"
        )
        print(f"{chosen.model} in {dtype} on {name}, medians of {chosen.rounds} rounds\n")
        show(take_turns(ways, chosen.rounds, cuda=cuda), tokens, flops, peak)


if __name__ == "__main__":
    main()
