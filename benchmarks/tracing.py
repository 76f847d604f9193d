"""How fast trajectories are traced, against merely reading them, and against the obvious way.

A model with the shape of SmolLM2-135M and random weights reads trajectories that begin with one system prompt, as those
of agents do. All in one run, by turns:

- **trace**: ramekin's, of a role that has some tokens in each trajectory;
- **trace, prefix read for each**: the same, but what all have in common is read again and again;
- **bare forward**: the decoder alone reads the same batches, nothing is looked at;
- **one by one**: the whole model, one trajectory at a time, all activations kept to the end of it.

    python benchmarks/tracing.py --rounds 3
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import transformers
from torch import nn

from ramekin.arm.architecture import Layer, find_layers
from ramekin.arm.tracing import Text, batches, padded, trace

VOCABULARY = 49152


def build(dtype: torch.dtype, device: str) -> nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return model.to(device).eval()


def trajectories(number: int, prompt: int, longest: int) -> list[Text]:
    """Texts of many lengths, a fifth of whose own tokens are in the role."""
    generator = np.random.default_rng(0)

    def draw(size: int) -> tuple[int, ...]:
        return tuple(generator.integers(3, VOCABULARY, size).tolist())

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trajectories", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=384, help="tokens that all begin with")
    parser.add_argument("--longest", type=int, default=256, help="tokens that one has beside them, at most")
    parser.add_argument("--budget", type=int, default=4096, help="tokens of a batch")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()

    model = build(getattr(torch, chosen.dtype), chosen.device)
    layers = find_layers(model)
    texts = trajectories(chosen.trajectories, chosen.prompt, chosen.longest)
    tokens = sum(text.needed for text in texts)
    ways: dict[str, Callable[[], object]] = {
        "bare forward": partial(bare, model, texts, chosen.budget),
        "trace": partial(trace, model, layers, texts, budget=chosen.budget),
        "trace, prefix read for each": partial(trace, model, layers, texts, budget=chosen.budget, reuse_prefix=False),
        "one by one": partial(one_by_one, model, layers, texts),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(chosen.rounds + 1):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            if chosen.device != "cpu":
                torch.cuda.synchronize()
            if number:  # the first round warms up
                seconds[way].append(time.perf_counter() - start)
    print(f"{len(texts)} trajectories, {tokens:,} tokens, {chosen.dtype} on {chosen.device}; {chosen.rounds} rounds\n")
    print("| way | s | tokens a second | of the bare forward's | of one by one's |")
    print("|---|--:|--:|--:|--:|")
    for way, found in seconds.items():
        ratios = [
            statistics.median(other / own for other, own in zip(seconds[against], found, strict=True))
            for against in ("bare forward", "one by one")
        ]
        middle = statistics.median(found)
        print(f"| {way} | {middle:.2f} | {tokens / middle:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
