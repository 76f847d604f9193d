"""What comparing checkpoints turned up, and how many names become few lines."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ramekin.text import printable

Severity = Literal["error", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between a source and the base, or one thing about a source.

    Attributes:
        severity: `error` where it keeps the sources from being merged, `note` where it does not.
        role: `base`, or the expert as `expert:NAME`.
        subject: What it is about: a tensor, or several folded into one name (`layers.{0-27}.bias`), a key of the
            config, or `tokenizer`. Made printable, but not escaped for any markup.
        what: What is so, in one sentence without a final full stop.
        hint: What to do about it; empty for most notes.
    """

    severity: Severity
    role: str
    subject: str
    what: str
    hint: str = ""

    @property
    def place(self) -> str:
        """Whom it is about, as people say it: `base`, or the expert's name."""
        return self.role.removeprefix("expert:")


@dataclass(frozen=True, slots=True)
class FoldedNames:
    """Names that differ only in their numbers, as one: `model.layers.{0-27}.mlp.up_proj.weight`."""

    pattern: str
    count: int


def fold_names(names: Iterable[str], among: Iterable[str] = ()) -> tuple[FoldedNames, ...]:
    """Fold dotted names that differ only in their numbers, in the order of their first occurrence.

    Nothing is lost: the ranges say exactly which names are meant.

    Args:
        names: The names to fold.
        among: All names that there are. Where every one below a number is among those to fold, as when a whole layer
            is missing, they become one: `model.layers.2.*`.
    """
    folded: dict[tuple[str, ...], int] = {}
    split = [tuple(name.split(".")) for name in dict.fromkeys(names)]
    whole = _whole_parts(split, among)
    for parts in split:
        prefixes = (parts[: length + 1] for length in range(len(parts)))
        prefix = next((prefix for prefix in prefixes if prefix in whole), None)
        key = parts if prefix is None else (*prefix, "*")
        folded[key] = folded.get(key, 0) + 1
    for position in reversed(range(max(map(len, folded), default=0))):
        folded = _fold_at(folded, position)
    return tuple(FoldedNames(printable(".".join(parts), 200), count) for parts, count in folded.items())


def folded(
    severity: Severity, role: str, names: Iterable[str], what: str, hint: str = "", *, among: Iterable[str] = ()
) -> list[Finding]:
    """One finding for all tensors whose names differ only in their numbers, in the order of `fold_names`."""
    return [
        Finding(
            severity,
            role,
            name.pattern,
            what if name.count == 1 else f"{what} ({name.count:,} tensors)",
            hint,
        )
        for name in fold_names(names, among)
    ]


def _whole_parts(names: Iterable[tuple[str, ...]], among: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Prefixes that end in a number and below which all names, and several, are to be folded."""
    here, there = (
        Counter(parts[: n + 1] for parts in found for n in range(len(parts) - 1) if parts[n].isdecimal())
        for found in (names, (tuple(name.split(".")) for name in among))
    )
    return frozenset(prefix for prefix, count in here.items() if count == there[prefix] > 1)


def _fold_at(names: dict[tuple[str, ...], int], position: int) -> dict[tuple[str, ...], int]:
    """Join the names that are alike but for a number at one position."""
    numbers: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for parts, count in names.items():
        key = parts
        if position < len(parts) and parts[position].isdecimal() and len(parts[position]) < 10:
            key = (*parts[:position], "", *parts[position + 1 :])
            numbers[key].append(int(parts[position]))
        counts[key] += count
    result = {}
    for key, count in counts.items():
        found = numbers.get(key)
        result[(*key[:position], _ranges(found), *key[position + 1 :]) if found else key] = count
    return result


def _ranges(numbers: list[int]) -> str:
    """`5` for one number, `{0-3,7}` for several."""
    ordered = sorted(numbers)
    if len(ordered) == 1:
        return str(ordered[0])
    runs: list[tuple[int, int]] = []
    for number in ordered:
        if runs and number <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return "{" + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) + "}"
