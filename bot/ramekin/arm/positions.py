"""How a model tells where a token stands, and what that asks of those who read with it.

Some learn their positions one by one, and have no more than they have learned. Some turn keys and queries otherwise in
a longer text: `longrope` (Phi-3, Phi-4) from a certain length on, `dynamic` the more, the longer. transformers takes
for that length the highest position of what is read together, so that padding, company and a cut would change what a
model does; `dynamic` even remembers the longest text so far. Such a model reads each text alone, all of it at once, and
is told how long the whole is: what it does is then what it would do reading the whole of that text and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import nn

from ramekin.errors import IncompatibleError

_LEARNED: Final = frozenset({"wpe", "embed_positions"})


def decoder_of(model: nn.Module) -> nn.Module:
    """The part of a causal language model that reads text, without what sees pictures and without the head."""
    found: nn.Module = model.get_decoder()  # type: ignore[operator]
    return found


def positions_of(model: nn.Module) -> int | None:
    """How many tokens a model can read, where its positions end; None where more are a matter of quality alone."""
    found = [
        module.num_embeddings - int(getattr(module, "offset", 0))  # OPT's begin behind two that are never used
        for name, module in decoder_of(model).named_modules()
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _LEARNED
    ]
    # GPT-J turns by a table of as many rows.
    found += [len(table) for name, table in decoder_of(model).named_buffers() if name.rpartition(".")[2] in _LEARNED]
    return min(found, default=None)


def see_that_it_fits(model: nn.Module, tokens: int, hint: str = "set a lower `max_tokens` for the benchmark") -> None:
    """See that a model has a position for each of so many tokens.

    Raises:
        IncompatibleError: It has not.
    """
    positions = positions_of(model)
    if positions is not None and tokens > positions:
        raise IncompatibleError(
            f"a trajectory takes {tokens:,} tokens, and {type(model).__name__} has {positions:,} positions", hint
        )


def turning_by_length(model: nn.Module) -> list[nn.Module]:
    """Those of its modules that turn otherwise in a longer text; none in most models."""
    return [module for module in decoder_of(model).modules() if any(map(_by_length, _kinds(module).values()))]


def _kinds(module: nn.Module) -> Mapping[str | None, object]:
    """Kinds of rotary embeddings in a module, by kind of layer where it differs (Gemma 3)."""
    kind = getattr(module, "rope_type", None)
    return kind if isinstance(kind, Mapping) else {None: kind}


def _by_length(kind: object) -> bool:
    return isinstance(kind, str) and (kind == "longrope" or "dynamic" in kind)


def forget_lengths(modules: Sequence[nn.Module]) -> None:
    """Have rotary embeddings forget how long what they have seen was: they do so when a text is short."""
    for module in modules:
        device = next(module.buffers()).device
        first = torch.zeros((1, 1), dtype=torch.long, device=device)
        for layers in _kinds(module):
            more = {} if layers is None else {"layer_type": layers}
            module(torch.zeros((1, 1, 1), device=device), first, **more)


@contextmanager
def reading_part_of(whole: int, modules: Sequence[nn.Module]) -> Iterator[None]:
    """Have rotary embeddings turn as in a text of `whole` tokens, of which the first ones are read in this context.

    They are told of one position more, the text's last, and what they give for it is dropped.
    """
    forget_lengths(modules)
    with ExitStack() as stack:
        for module in modules:
            told = _with_last(whole - 1)
            stack.callback(module.register_forward_pre_hook(told, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(_without_last).remove)
        yield


def _with_last(position: int) -> Callable[..., tuple[Any, Any]]:
    def tell(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        known = "position_ids" in kwargs
        given = kwargs["position_ids"] if known else args[1]
        more = torch.cat([given, torch.full_like(given[..., :1], position)], dim=-1)
        return (args, kwargs | {"position_ids": more}) if known else ((args[0], more, *args[2:]), kwargs)

    return tell


def _without_last(_module: nn.Module, _args: object, turned: Any) -> Any:
    """Cosines and sines, `[texts, tokens, width]` each."""
    if isinstance(turned, torch.Tensor):
        return turned[..., :-1, :]
    return tuple(each[..., :-1, :] for each in turned)
