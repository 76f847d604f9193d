"""A tokenizer's vocabulary as data, out of any of the files that can hold one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from ramekin.checkpoint.facts import SmallFiles
from ramekin.checkpoint.jsontext import HINT, parse_object
from ramekin.errors import DamagedError

_PIPELINE: Final = ("normalizer", "pre_tokenizer")
_MODEL_SETTINGS: Final = ("type", "byte_fallback", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer knows.

    Attributes:
        tokens: Token of every id, added tokens among them.
        added: The ids of the added tokens.
        merges: Pairs that are merged, in order, each joined by a space; None where the kind of tokenizer has none.
        scores: Score of every token of a unigram model, else None.
        pipeline: What happens to a text before it is looked up, by the names of `tokenizer.json`; None where unknown.
    """

    tokens: Mapping[int, str]
    added: frozenset[int]
    merges: tuple[str, ...] | None = None
    scores: tuple[float, ...] | None = None
    pipeline: Mapping[str, Any] | None = None


def read_vocabulary(files: SmallFiles) -> Vocabulary | None:
    """The vocabulary of a source; None where only a binary file could tell, or where there is none.

    Raises:
        DamagedError: A file is not what its name promises.
    """
    if "tokenizer.json" in files:
        return _from_tokenizer(files)
    if "vocab.json" in files:
        return _from_vocab(files)
    if "vocab.txt" in files:
        lines = _text(files, "vocab.txt").splitlines()
        tokens, added = _with_added(dict(enumerate(lines)), files)
        return Vocabulary(tokens, added)
    return None


def _from_tokenizer(files: SmallFiles) -> Vocabulary:
    label = f"{files.label}: tokenizer.json"
    data = parse_object(files.content("tokenizer.json"), label)
    model = data.get("model")
    if not isinstance(model, dict):
        raise DamagedError(f"{label} has no `model`", HINT)
    scores = None
    vocab = model.get("vocab")
    if isinstance(vocab, list):
        tokens, scores = _unigram(vocab, label)
    else:
        tokens = _by_id(vocab, label)
    added = _added_tokens(data.get("added_tokens") or [], label)
    settings = {key: model[key] for key in _MODEL_SETTINGS if model.get(key)}
    return Vocabulary(
        tokens | added,
        frozenset(added),
        _merges(model["merges"], label) if model.get("merges") is not None else None,
        scores,
        {key: data[key] for key in _PIPELINE if data.get(key) is not None} | {"model": settings},
    )


def _from_vocab(files: SmallFiles) -> Vocabulary:
    label = f"{files.label}: vocab.json"
    tokens, added = _with_added(_by_id(parse_object(files.content("vocab.json"), label), label), files)
    merges = None
    if "merges.txt" in files:
        lines = _text(files, "merges.txt").split("\n")
        merges = tuple(line for line in lines if line.strip() and not line.startswith("#version"))
    return Vocabulary(tokens, added, merges)


def _with_added(tokens: dict[int, str], files: SmallFiles) -> tuple[dict[int, str], frozenset[int]]:
    """Join the tokens that `added_tokens.json` and `tokenizer_config.json` add."""
    added: dict[int, str] = {}
    if "added_tokens.json" in files:
        label = f"{files.label}: added_tokens.json"
        added |= _by_id(parse_object(files.content("added_tokens.json"), label), label)
    if "tokenizer_config.json" in files:
        label = f"{files.label}: tokenizer_config.json"
        decoder = parse_object(files.content("tokenizer_config.json"), label).get("added_tokens_decoder")
        entries = decoder.items() if isinstance(decoder, dict) else ()
        added |= _added_tokens(
            [{"id": int(key), **entry} for key, entry in entries if _is_id(key) and isinstance(entry, dict)], label
        )
    return tokens | added, frozenset(added)


def _is_id(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 10


def _is_number_of_token(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**31


def _by_id(vocab: Any, label: str) -> dict[int, str]:
    if not isinstance(vocab, dict) or not all(_is_number_of_token(number) for number in vocab.values()):
        raise DamagedError(f"{label} has no vocabulary from tokens to ids", HINT)
    return {number: token for token, number in vocab.items()}


def _unigram(vocab: list[Any], label: str) -> tuple[dict[int, str], tuple[float, ...]]:
    for entry in vocab:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and _is_number(entry[1])):
            raise DamagedError(f"{label} has a vocabulary that is not made of tokens with scores", HINT)
    return {number: entry[0] for number, entry in enumerate(vocab)}, tuple(entry[1] for entry in vocab)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _added_tokens(entries: Any, label: str) -> dict[int, str]:
    if not isinstance(entries, list):
        raise DamagedError(f"{label} has added tokens that are not a list", HINT)
    added: dict[int, str] = {}
    for entry in entries:
        number, token = (entry.get("id"), entry.get("content")) if isinstance(entry, dict) else (-1, None)
        if not _is_number_of_token(number) or not isinstance(token, str):
            raise DamagedError(f"{label} has an added token without `id` and `content`", HINT)
        added[number] = token
    return added


def _merges(merges: Any, label: str) -> tuple[str, ...]:
    if isinstance(merges, list):
        pairs = [" ".join(pair) if _is_pair(pair) else pair for pair in merges]
        if all(isinstance(pair, str) for pair in pairs):
            return tuple(pairs)
    raise DamagedError(f"{label} has `merges` that are not pairs of tokens", HINT)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def _text(files: SmallFiles, name: str) -> str:
    try:
        return files.content(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{files.label}: {name} is not UTF-8 text at byte {error.start}", HINT) from error
