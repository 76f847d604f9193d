"""Comparing tokenizers: a merge averages rows of embeddings, so one id must mean one token everywhere.

The merged model takes over the base's tokenizer. What an expert has beyond it is told and left out; what contradicts
it is an error.
"""

from collections.abc import Iterable
from typing import Any, Final

from ramekin.checkpoint.facts import SmallFiles
from ramekin.checkpoint.findings import Finding, Severity
from ramekin.checkpoint.jsontext import parse_object
from ramekin.checkpoint.vocabulary import Vocabulary, read_vocabulary
from ramekin.text import printable

_WHOLE: Final = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt", "added_tokens.json"),
    ("vocab.txt", "added_tokens.json"),
    ("tekken.json",),
)
"""Files that decide a vocabulary together, by what is looked for first."""

_HINT: Final = "use an expert that kept the base's tokenizer; rows of the embeddings would mix different tokens"
_WATCHED: Final = (
    "use an expert that kept the base's added tokens, or a method that watches no models, such as `ram+`: "
    "what models do with tokens that they do not share says nothing"
)


def check_tokenizer(base: SmallFiles) -> tuple[Finding, ...]:
    """What there is to say of the base's tokenizer alone: whether it has one."""
    if _deciding(base):
        return ()
    return (
        Finding(
            "note",
            "base",
            "tokenizer",
            "there is none, so the merged model will have none",
            "put the tokenizer's files beside the base's weights if the model is to be used alone",
        ),
    )


def compare_tokenizers(base: SmallFiles, expert: SmallFiles, role: str, *, whole: bool = False) -> tuple[Finding, ...]:
    """Every difference between two tokenizers that matters to a merge.

    Files with equal digests are not read. All else is compared by what it means, not by its bytes: a tokenizer that
    was only saved by another release of transformers is the same.

    Args:
        base: The base's files.
        expert: The expert's.
        role: The expert's role.
        whole: Whether the added tokens have to be the same, too: where models are watched at work.

    Raises:
        DamagedError: A file is not what its name promises.
    """
    return _compare_vocabularies(base, expert, role, whole=whole) + _compare_templates(base, expert, role)


def _compare_vocabularies(base: SmallFiles, expert: SmallFiles, role: str, *, whole: bool) -> tuple[Finding, ...]:
    ours, theirs = _deciding(base), _deciding(expert)
    if not theirs or not ours:
        return ()
    if ours == theirs and all(base.same(name, expert) for name in ours):
        return ()
    a, b = read_vocabulary(base), read_vocabulary(expert)
    if a is not None and b is not None:
        return tuple(_differences(a, b, role, whole=whole))
    shared = [name for name in _binary(expert) if name in base.digests]
    if not shared:
        files = f"the base has {', '.join(ours)}, this expert {', '.join(theirs)}"
        return (Finding("note", role, "tokenizer", f"the tokenizers cannot be compared: {printable(files, 200)}"),)
    return tuple(
        Finding("error", role, "tokenizer", f"`{printable(name, 60)}` is another than the base's", _HINT)
        for name in shared
        if not base.same(name, expert)
    )


def _deciding(files: SmallFiles) -> tuple[str, ...]:
    """The files that decide a source's vocabulary; empty where it has no tokenizer."""
    for group in _WHOLE:
        if group[0] in files:
            return tuple(name for name in group if name in files)
    return _binary(files)


def _binary(files: SmallFiles) -> tuple[str, ...]:
    return tuple(sorted(name for name in files.digests if name.endswith(".model") or name == "tekken.json"))


def _differences(a: Vocabulary, b: Vocabulary, role: str, *, whole: bool) -> Iterable[Finding]:
    """Compare the base's vocabulary `a` with the expert's `b`; what is more or less is an error where `whole`."""
    severity: Severity = "error" if whole else "note"
    hint = _WATCHED if whole else ""
    other = [n for n, token in a.tokens.items() if n in b.tokens and b.tokens[n] != token]
    if other:
        shown = _examples(f"{n} ({_token(a.tokens[n])} in the base, {_token(b.tokens[n])} here)" for n in other)
        yield Finding("error", role, "tokenizer", f"{_count(other, 'id')} {_verb(other)} another token: {shown}", _HINT)
    lacking = [n for n in a.tokens if n not in b.tokens]
    missing = [n for n in lacking if n not in a.added]
    if missing:
        shown = _examples(f"{n} ({_token(a.tokens[n])})" for n in missing)
        yield Finding("error", role, "tokenizer", f"lacks {_count(missing, 'token')} of the base's: {shown}", _HINT)
    elif lacking:
        shown = _examples(f"{n} ({_token(a.tokens[n])})" for n in lacking)
        what = f"lacks {_count(lacking, 'added token')} of the base's: {shown}"
        yield Finding(severity, role, "tokenizer", what, hint)
    extra = [n for n in b.tokens if n not in a.tokens]
    if extra:
        shown = _examples(f"{n} ({_token(b.tokens[n])})" for n in extra)
        kept = "" if whole else ", and the base's tokenizer is used"
        what = f"has {_count(extra, 'token')} that the base has not{kept}: {shown}"
        yield Finding(severity, role, "tokenizer", what, hint)
    yield from _segmentation(a, b, role)


def _segmentation(a: Vocabulary, b: Vocabulary, role: str) -> Iterable[Finding]:
    """Compare how texts are cut into tokens."""
    if a.merges is not None and b.merges is not None and a.merges != b.merges:
        ours, theirs = set(a.merges), set(b.merges)
        gone, new = [m for m in a.merges if m not in theirs], [m for m in b.merges if m not in ours]
        if gone or new:
            shown = _examples(map(_token, gone or new))
            what = f"has other merges: {len(gone):,} of the base's are missing, {len(new):,} are new, such as {shown}"
        else:
            what = f"has the base's {len(a.merges):,} merges in another order"
        yield Finding("error", role, "tokenizer", what, _HINT)
    if a.scores is not None and b.scores is not None:
        other = [n for n, (x, y) in enumerate(zip(a.scores, b.scores, strict=False)) if abs(x - y) > 1e-4]
        if other:
            shown = _examples(f"{n} ({_token(a.tokens[n])})" for n in other)
            what = f"{_count(other, 'token')} {'has' if len(other) == 1 else 'have'} another score: {shown}"
            yield Finding("error", role, "tokenizer", what, _HINT)
    if a.pipeline is not None and b.pipeline is not None:
        parts = [key for key in sorted({*a.pipeline, *b.pipeline}) if a.pipeline.get(key) != b.pipeline.get(key)]
        if parts:
            what = f"prepares texts in another way ({', '.join(parts)}), and the base's way is used"
            yield Finding("note", role, "tokenizer", what)


def _compare_templates(base: SmallFiles, expert: SmallFiles, role: str) -> tuple[Finding, ...]:
    """Compare the chat templates. The base's is used, and an expert may have been trained with another."""
    theirs = _templates(expert)
    if not theirs:
        return ()
    ours = _templates(base)
    if not ours:
        what = "there is one, but the base has none, so the merged model will have none"
        return (Finding("note", role, "chat template", what, "choose a base with a template to use it for chats"),)
    if ours == theirs:
        return ()
    hint = "prompt the merged model by the base's template; formats of this expert, as for tool calls, may differ"
    what = "is another than the base's, which the merged model gets"
    return (Finding("note", role, "chat template", what, hint),)


def _templates(files: SmallFiles) -> dict[str, str]:
    """A source's chat templates by name, without white space at the ends, which means nothing."""
    if "chat_template.jinja" in files:
        text = files.content("chat_template.jinja").decode("utf-8", "replace")
        return {"default": text.strip()}
    for name in ("chat_template.json", "tokenizer_config.json"):
        if name in files:
            found = _named(parse_object(files.content(name), f"{files.label}: {name}").get("chat_template"))
            if found:
                return found
    return {}


def _named(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {"default": value.strip()}
    entries = value if isinstance(value, list) else []
    return {str(entry.get("name")): str(entry.get("template")).strip() for entry in entries if isinstance(entry, dict)}


def _examples(shown: Iterable[str]) -> str:
    """The first three, with an ellipsis where there are more."""
    texts: list[str] = []
    for text in shown:
        if len(texts) == 3:
            texts.append("…")
            break
        texts.append(text)
    return ", ".join(texts)


def _token(token: str) -> str:
    return f"`{printable(token, 30)}`"


def _count(items: list[int], noun: str) -> str:
    return f"{len(items):,} {noun}" + ("" if len(items) == 1 else "s")


def _verb(items: list[int]) -> str:
    return "means" if len(items) == 1 else "mean"
