"""The tensors that have one row per token: which they are, and which of them the base ties together."""

import re
from collections.abc import Iterable
from typing import Final

from ramekin.checkpoint.config import text_config, vocab_size
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.tensors import Tensor

_EMBEDDING: Final = re.compile(r"(?:.*\.)?(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|shared)\.weight")
_OUTPUT: Final = re.compile(r"(?:.*\.)?(?:lm_head|embed_out)\.(?:weight|bias)")
_PADDING: Final = 1024
"""Most rows by which two embeddings may differ if no config explains it: what padding to a round number adds."""

KEPT: Final = "; rows that both have are merged, and the base decides the shape"
"""What is to be known of a vocabulary that is padded differently."""

UNWATCHED: Final = "; models that are watched at work need the same vocabulary"
"""Why that is an error all the same."""

SAME_ROWS: Final = "use an expert with the base's number of tokens, or a method that watches no models, such as `ram+`"
"""What to do about it."""


def has_vocabulary(name: str) -> bool:
    """Whether a tensor of that name has a row per token: an embedding, or the output layer."""
    return bool(_EMBEDDING.fullmatch(name) or _OUTPUT.fullmatch(name))


def ties_embeddings(facts: CheckpointFacts) -> bool:
    """Whether a checkpoint's output layer is its embedding.

    Its config says so, or, where the config is silent (each architecture has a default of its own), the tensors do:
    a checkpoint without an output layer ties it.
    """
    stated = text_config(facts.config).get("tie_word_embeddings", facts.config.get("tie_word_embeddings"))
    if isinstance(stated, bool):
        return stated
    return not any(_is_output(name) for name in facts.inventory.tensors)


def tied_names(base: CheckpointFacts, names: Iterable[str]) -> frozenset[str]:
    """Of some names, the output layers that the base ties, and that the merge therefore leaves out.

    None where the base has no embedding to tie them to.
    """
    if not ties_embeddings(base) or not any(_EMBEDDING.fullmatch(name) for name in base.inventory.tensors):
        return frozenset()
    return frozenset(name for name in names if _is_output(name))


def tied_embeddings(base: CheckpointFacts) -> frozenset[str]:
    """The base's embeddings that are its output layer, too."""
    if not ties_embeddings(base):
        return frozenset()
    return frozenset(name for name in base.inventory.tensors if _EMBEDDING.fullmatch(name))


def differs_in_padding(base: CheckpointFacts, expert: CheckpointFacts, ours: Tensor, theirs: Tensor) -> bool:
    """Whether two tensors that are one differ in nothing but how their vocabulary is padded.

    Their numbers of rows are those that the configs state, or nearly equal.
    """
    if not (
        has_vocabulary(ours.name)
        and len(ours.shape) == len(theirs.shape) > 0
        and ours.shape[1:] == theirs.shape[1:]
        and ours.shape != theirs.shape
    ):
        return False
    rows = ours.shape[0], theirs.shape[0]
    return (vocab_size(base.config), vocab_size(expert.config)) == rows or abs(rows[0] - rows[1]) <= _PADDING


def _is_output(name: str) -> bool:
    return bool(_OUTPUT.fullmatch(name)) and name.endswith(".weight")
