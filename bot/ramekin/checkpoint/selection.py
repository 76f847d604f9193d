"""Which files of a source a merge reads. All else is never asked for: no pickle, code, card or training state."""

import re
from collections.abc import Iterable
from typing import Final, Literal

from ramekin.checkpoint.adapter import ADAPTER_CONFIG
from ramekin.checkpoint.inventory import adapter_files, is_adapter, weight_files

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"

_CONFIGS: Final = frozenset({
    CONFIG, "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "feature_extractor_config.json",
})  # fmt: skip
_TOKENIZER_SETTINGS: Final = frozenset({
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json",
})  # fmt: skip
_VOCABULARIES: Final = frozenset({
    "vocab.json", "merges.txt", "vocab.txt", "tekken.json", "normalizer.json", "entity_vocab.json",
})  # fmt: skip
_MODEL: Final = re.compile(r"[A-Za-z0-9_][\w.\-]{0,100}\.model", re.ASCII)
"""Sentencepiece models: `tokenizer.model`, `spiece.model`, `sentencepiece.bpe.model`."""
_TEMPLATE: Final = re.compile(r"additional_chat_templates/[A-Za-z0-9_][\w.\-]{0,100}\.jinja", re.ASCII)


def files_to_read(names: Iterable[str], role: Literal["base", "expert"], *, source: str = "") -> tuple[str, ...]:
    """The files of a source that a merge reads, sorted.

    Of the base: weights, and every config, tokenizer and chat-template file, since the merge takes them over. Of an
    expert: weights, and what has to be compared with the base. Where an expert has `tokenizer.json`, its vocabulary is
    known from that alone. An expert may be an adapter, which has a config and weights of its own; where it lies beside
    full weights, those are meant, and the adapter's config is read only for that to be said.

    Args:
        names: All paths of the source.
        role: What the source is in the merge.
        source: Name of the source, for messages.

    Raises:
        IncompatibleError: The source has no weights that can be merged.
    """
    paths = set(names)
    adapter = role == "expert" and is_adapter(paths)
    wanted = set((adapter_files if adapter else weight_files)(paths, source=source))
    if role == "base":
        wanted |= paths & (_CONFIGS | _TOKENIZER_SETTINGS | _VOCABULARIES | {TOKENIZER})
        wanted |= {path for path in paths if _MODEL.fullmatch(path) or _TEMPLATE.fullmatch(path)}
    else:
        wanted |= paths & (_TOKENIZER_SETTINGS | {ADAPTER_CONFIG, TOKENIZER})
        if not adapter:
            wanted |= paths & {CONFIG}
        if TOKENIZER not in paths:
            wanted |= paths & _VOCABULARIES
            wanted |= {path for path in paths if _MODEL.fullmatch(path)}
    return tuple(sorted(wanted))


def files_to_borrow(names: Iterable[str], base: Iterable[str]) -> tuple[str, ...]:
    """Of the base's files, those that an expert needs to be run and does not have itself, sorted.

    A config it may lack alone. Of its tokenizer's vocabulary, and of the settings and chat templates that go with one,
    it has all or none: those of two models do not go together.
    """
    own = set(names)
    wanted = set(files_to_copy(base)) - own
    if any(map(_is_vocabulary, own)):
        wanted = {name for name in wanted if not _is_vocabulary(name)}
    if own & _TOKENIZER_SETTINGS:
        wanted = {name for name in wanted if name not in _TOKENIZER_SETTINGS and not _TEMPLATE.fullmatch(name)}
    return tuple(sorted(wanted))


def _is_vocabulary(name: str) -> bool:
    return name == TOKENIZER or name in _VOCABULARIES or bool(_MODEL.fullmatch(name))


def files_to_copy(names: Iterable[str]) -> tuple[str, ...]:
    """Of the base's files that are read, those that the merge takes over byte for byte: all but weights and index."""
    paths = set(names)
    return tuple(sorted(set(files_to_read(paths, "base")) - set(weight_files(paths))))
