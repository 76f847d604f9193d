"""Do the checkpoints fit together? Every difference at once, before a byte of weights is read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ramekin.checkpoint.adapter import ADAPTER_CONFIG, check_adapter
from ramekin.checkpoint.config import check_config, compare_configs
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.findings import Finding, folded
from ramekin.checkpoint.quantised import find_quantised
from ramekin.checkpoint.tensors import FLOATING, Tensor
from ramekin.checkpoint.tokenizer import check_tokenizer, compare_tokenizers
from ramekin.errors import IncompatibleError, Problem
from ramekin.plan.adapters import fit_adapter
from ramekin.plan.vocabulary_tensors import (
    KEPT,
    SAME_ROWS,
    UNWATCHED,
    differs_in_padding,
    tied_embeddings,
    tied_names,
    ties_embeddings,
)

__all__ = ["Finding", "compare_checkpoints", "require_compatible"]

_OTHER_MODEL: Final = "use an expert that was trained from this base, with its tensors unchanged in name and shape"
_UNMERGEABLE: Final = frozenset({"F64", "C64"})
_CONVERT: Final = (
    "load it with transformers in float32 or bfloat16, save that with `save_pretrained`, and name the result"
)


def compare_checkpoints(
    base: CheckpointFacts, experts: Mapping[str, CheckpointFacts], *, watched: bool = False
) -> tuple[Finding, ...]:
    """Compare tensors, configs and tokenizers of all experts with the base's.

    Args:
        base: The base.
        experts: The experts, in manifest order.
        watched: Whether they will be watched at work: then the vocabularies have to be the same, padding included.

    Returns:
        Errors first; within each kind the base, then the experts in order.

    Raises:
        DamagedError: A tokenizer's file is not what its name promises.
    """
    packed = find_quantised(base)
    findings = [*packed, *check_config(base.config, base.role), *_check_types(base), *check_tokenizer(base.files)]
    for expert in experts.values():
        if expert.adapter:
            findings += check_adapter(expert.adapter, base.source, expert.role)
            findings += () if packed else fit_adapter(base, expert, expert.adapter, watched=watched).findings
        else:
            findings += _compare_checkpoints(base, expert, quantised=bool(packed), watched=watched)
        findings += compare_tokenizers(base.files, expert.files, expert.role, whole=watched)
    findings += _same_weights([base, *experts.values()])
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _compare_checkpoints(
    base: CheckpointFacts, expert: CheckpointFacts, *, quantised: bool, watched: bool
) -> list[Finding]:
    """Compare an expert of full weights with the base; tensors only where they are not packed in one of the two."""
    packed = find_quantised(expert)
    findings = [*packed, *check_config(expert.config, expert.role)]
    if expert.config:
        findings += (_following(base, expert, one) for one in compare_configs(base.config, expert.config, expert.role))
    else:
        findings.append(Finding("note", expert.role, "config.json", "there is none, so only tensors could be compared"))
    if ADAPTER_CONFIG in expert.files:
        what = "there is an adapter beside the full weights, and the full weights are merged"
        findings.append(Finding("note", expert.role, ADAPTER_CONFIG, what))
    if not (packed or quantised):
        findings += [*_check_types(expert), *_compare_tensors(base, expert, watched=watched)]
    return findings


def _following(base: CheckpointFacts, expert: CheckpointFacts, finding: Finding) -> Finding:
    """What the configs say of tied embeddings is the base's to decide, as far as nothing is lost by it."""
    ties = finding.subject.rpartition(".")[2] == "tie_word_embeddings"
    if not ties or finding.severity != "error" or not tied_embeddings(base) or ties_embeddings(expert):
        return finding
    stored = any(tied_names(base, expert.inventory.tensors))
    seen = ", once its output layer is found to be its embedding" if stored else ", as its tensors do"
    return replace(finding, severity="note", what=f"{finding.what}; the base is followed{seen}", hint="")


def require_compatible(findings: Iterable[Finding], sources: Mapping[str, str]) -> None:
    """Refuse a merge that has errors among its findings.

    Args:
        findings: As `compare_checkpoints` gives them.
        sources: Repository id or path of every role.

    Raises:
        IncompatibleError: There are errors; each is one of its problems.
    """
    problems = [
        Problem(f"{f.place} ({sources.get(f.role, '?')}): {f.subject}: {f.what}", f.hint)
        for f in findings
        if f.severity == "error"
    ]
    if problems:
        raise IncompatibleError(problems=problems)


def _check_types(facts: CheckpointFacts) -> list[Finding]:
    """Refuse tensors of a type that is not merged. Others that are not floating point are copied."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for tensor in facts.inventory.tensors.values():
        if tensor.dtype in _UNMERGEABLE:
            kinds[tensor.dtype].append(tensor.name)
    return [
        finding
        for dtype, names in kinds.items()
        for finding in folded("error", facts.role, names, f"is stored as {dtype}, which cannot be merged", _CONVERT)
    ]


def _compare_tensors(base: CheckpointFacts, expert: CheckpointFacts, *, watched: bool) -> list[Finding]:
    ours, theirs = base.inventory.tensors, expert.inventory.tensors
    tied = tied_names(base, [*ours, *theirs])
    ours = {name: tensor for name, tensor in ours.items() if name not in tied}
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # by what to do, if anything, and what is so
    missing = [name for name in ours if name not in theirs]
    extra = [name for name in theirs if name not in ours and name not in tied]
    types: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    findings = [
        *folded("error", expert.role, missing, "is in the base and not in this expert", _OTHER_MODEL, among=ours),
        *folded("error", expert.role, extra, "is in this expert and not in the base", _OTHER_MODEL, among=theirs),
    ]
    for name in (name for name in ours if name in theirs):
        a, b = ours[name], theirs[name]
        if a.shape != b.shape:
            padded = differs_in_padding(base, expert, a, b)
            hint, more = (SAME_ROWS, UNWATCHED) if watched else ("", KEPT)
            hint, more = (hint, more) if padded else (_OTHER_MODEL, "")
            groups[hint, f"is {_shape(a)} in the base and {_shape(b)} here{more}"].append(name)
        if a.dtype != b.dtype:
            if a.dtype in FLOATING and b.dtype in FLOATING:
                types[a.dtype, b.dtype].append(name)
            elif a.dtype not in _UNMERGEABLE and b.dtype not in _UNMERGEABLE:
                groups[_OTHER_MODEL, f"is stored as {a.dtype} in the base and as {b.dtype} here"].append(name)
    for (hint, what), names in groups.items():
        findings += folded("error" if hint else "note", expert.role, names, what, hint)
    for (a_type, b_type), names in types.items():
        what = f"are {FLOATING[b_type]} here and {FLOATING[a_type]} in the base"
        subject = "all tensors" if len(names) == len(ours) else f"{len(names):,} of {len(ours):,} tensors"
        findings.append(Finding("note", expert.role, subject, what))
    stored = [name for name in theirs if name in tied]
    what = "is stored here, but the base ties it to the embedding, so it is left out"
    return findings + folded("note", expert.role, stored, what)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a scalar"


def _same_weights(checkpoints: list[CheckpointFacts]) -> list[Finding]:
    """Tell of an expert whose weight files are those of the base or of an expert before it."""
    findings = []
    seen: dict[tuple[str, ...], str] = {}
    for facts in checkpoints:
        weights = tuple(
            sorted(facts.files.digests.get(file, f"none:{facts.role}{file}") for file in facts.inventory.files)
        )
        if weights in seen:
            findings.append(
                Finding(
                    "note", facts.role, "weights", f"are the same files as those of {seen[weights]}",
                    "name another checkpoint if that is not meant",
                )
            )  # fmt: skip
        seen.setdefault(weights, facts.place)
    return findings
