"""Do the checkpoints fit together? Every difference at once, before a byte of weights is read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from ramekin.checkpoint.config import check_config, compare_configs, vocab_size
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.findings import Finding, Severity, fold_names
from ramekin.checkpoint.tensors import FLOATING, Tensor
from ramekin.checkpoint.tokenizer import check_tokenizer, compare_tokenizers
from ramekin.errors import IncompatibleError, Problem
from ramekin.plan.vocabulary_tensors import differs_in_padding, tied_names

__all__ = ["Finding", "compare_checkpoints", "require_compatible"]

_PADDING: Final = 1024
"""Most rows by which two embeddings may differ if no config explains it: what padding to a round number adds."""

_KEPT: Final = "; rows that both have are merged, and the base decides the shape"
_OTHER_MODEL: Final = "use an expert that was trained from this base, with its tensors unchanged in name and shape"
_QUANTISED: Final = "use the checkpoint in bfloat16, float16 or float32 that it was made from"
_UNMERGEABLE: Final = frozenset({"F64", "C64", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})


def compare_checkpoints(base: CheckpointFacts, experts: Mapping[str, CheckpointFacts]) -> tuple[Finding, ...]:
    """Compare tensors, configs and tokenizers of all experts with the base's.

    Args:
        base: The base.
        experts: The experts, in manifest order.

    Returns:
        Errors first; within each kind the base, then the experts in order.

    Raises:
        DamagedError: A tokenizer's file is not what its name promises.
    """
    findings = [*check_config(base.config, base.role), *_check_types(base), *check_tokenizer(base.files)]
    for expert in experts.values():
        findings += check_config(expert.config, expert.role)
        if expert.config:
            findings += compare_configs(base.config, expert.config, expert.role)
        else:
            findings.append(
                Finding("note", expert.role, "config.json", "there is none, so only tensors could be compared")
            )
        findings += _check_types(expert)
        findings += _compare_tensors(base, expert)
        findings += compare_tokenizers(base.files, expert.files, expert.role)
    findings += _same_weights([base, *experts.values()])
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


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
    """Refuse weights of a type that is not merged. Other tensors that are not floating point are copied."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for tensor in facts.inventory.tensors.values():
        if _unmergeable(tensor):
            kinds[tensor.dtype].append(tensor.name)
    return [
        finding
        for dtype, names in kinds.items()
        for finding in _folded("error", facts.role, names, f"is stored as {dtype}, which cannot be merged", _QUANTISED)
    ]


def _unmergeable(tensor: Tensor) -> bool:
    """Whether a tensor is of a type that is not merged, or is a packed weight rather than a buffer of numbers."""
    packed = tensor.name.rpartition(".")[2] in ("weight", "qweight", "weight_packed") and len(tensor.shape) > 1
    return tensor.dtype in _UNMERGEABLE or (packed and tensor.dtype not in FLOATING)


def _compare_tensors(base: CheckpointFacts, expert: CheckpointFacts) -> list[Finding]:
    ours, theirs = base.inventory.tensors, expert.inventory.tensors
    tied = tied_names(base, [*ours, *theirs])
    ours = {name: tensor for name, tensor in ours.items() if name not in tied}
    groups: defaultdict[tuple[bool, str], list[str]] = defaultdict(list)
    missing = [name for name in ours if name not in theirs]
    extra = [name for name in theirs if name not in ours and name not in tied]
    types: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    findings = [
        *_folded("error", expert.role, missing, "is in the base and not in this expert", _OTHER_MODEL, among=ours),
        *_folded("error", expert.role, extra, "is in this expert and not in the base", _OTHER_MODEL, among=theirs),
    ]
    for name in (name for name in ours if name in theirs):
        a, b = ours[name], theirs[name]
        if a.shape != b.shape:
            padded = differs_in_padding(a, b) and _is_padding(base, expert, a.shape[0], b.shape[0])
            groups[padded, f"is {_shape(a)} in the base and {_shape(b)} here{_KEPT if padded else ''}"].append(name)
        if a.dtype != b.dtype:
            if a.dtype in FLOATING and b.dtype in FLOATING:
                types[a.dtype, b.dtype].append(name)
            elif not _unmergeable(a) and not _unmergeable(b):
                groups[False, f"is stored as {a.dtype} in the base and as {b.dtype} here"].append(name)
    for (fits, what), names in groups.items():
        findings += _folded("note" if fits else "error", expert.role, names, what, "" if fits else _OTHER_MODEL)
    for (a_type, b_type), names in types.items():
        what = f"are {FLOATING[b_type]} here and {FLOATING[a_type]} in the base"
        subject = "all tensors" if len(names) == len(ours) else f"{len(names):,} of {len(ours):,} tensors"
        findings.append(Finding("note", expert.role, subject, what))
    stored = [name for name in theirs if name in tied]
    what = "is stored here, but the base ties it to the embedding, so it is left out"
    return findings + _folded("note", expert.role, stored, what)


def _is_padding(base: CheckpointFacts, expert: CheckpointFacts, ours: int, theirs: int) -> bool:
    """Whether two numbers of rows are two paddings of one vocabulary: as the configs state them, or nearly equal."""
    stated = (vocab_size(base.config), vocab_size(expert.config)) == (ours, theirs)
    return stated or abs(ours - theirs) <= _PADDING


def _folded(
    severity: Severity, role: str, names: Iterable[str], what: str, hint: str = "", *, among: Iterable[str] = ()
) -> list[Finding]:
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
