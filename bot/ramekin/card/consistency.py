"""Whether the parts of a report belong together: what is not so would make a card that says what nobody measured."""

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from ramekin.choice import ReportedActivation, ReportedComparison, ReportedCrossOverlap
from ramekin.errors import DamagedError
from ramekin.lock.model import Lock
from ramekin.manifest.parts import REPO_PATTERN
from ramekin.methods import Arm, Choosing
from ramekin.methods.base import Method
from ramekin.methods.ram import RamFamily
from ramekin.records import ModuleOverlap
from ramekin.report import Report
from ramekin.scores import BACKBONE, BASE, EXPERT, MERGE, ReportedEvaluation


def check_report(report: Report, lock: Lock) -> None:
    """Refuse what does not belong together, and a name that is none.

    Raises:
        DamagedError: Report and lock are from different merges, or parts of the report are from different reports.
    """
    names = [expert.name for expert in report.experts]
    if report.key != lock.key or names != [*lock.experts] or set(names) != set(report.overlap.experts):
        raise DamagedError("the report and the lock are from different merges", "merge again, or restore both files")
    _refuse(_unfit_choice(report, names))
    rescaled = isinstance(merged_by(report), RamFamily)
    factors = [report.overlap.experts[name].factor for name in names]
    if report.method.misnamed(names) or any((factor is None) == rescaled for factor in factors):
        raise DamagedError("the report has a method that does not fit its experts", "merge again, or restore the file")
    if any(len(code) != len(names) or set(code) - {"0", "1"} for code in report.overlap.patterns):
        raise DamagedError("the report has patterns that do not fit its experts", "merge again, or restore the file")
    if what := next((what for each in report.overlap.modules.values() if (what := _unfit_module(each, names))), ""):
        raise DamagedError(f"the report's modules do not fit together: {what}", "merge again, or restore the file")
    if report.evaluation and (what := next(_unfit_scores(report.evaluation, names), "")):
        raise DamagedError(f"the report's scores do not fit together: {what}", "merge again, or restore the file")
    if not re.fullmatch(REPO_PATTERN, report.output.repo):
        raise DamagedError("the report names no repository as its output", "merge again, or restore the file")


def merged_by(report: Report) -> Method:
    """The method that merged the weights: the report's own, or that of the candidate that was chosen."""
    comparison = report.comparison
    return comparison.candidates[comparison.selected].method if comparison else report.method


def _unfit_module(module: ModuleOverlap, experts: list[str]) -> str:
    """What is wrong with the counts of one kind of module; empty if nothing is."""
    rows = [module.elements, module.anyone, module.several, *module.experts.values()]
    if [*module.experts] != experts:
        return "they are of other experts"
    if any(len(row) != len(module.layers) for row in rows) or len({*module.layers}) < len(module.layers):
        return "layers are missing, or there twice"
    for elements, anyone, several, *changed in zip(*rows, strict=True):
        if not (0 <= several <= anyone <= elements and 0 <= min(changed) <= max(changed) <= anyone <= sum(changed)):
            return "more was changed than there is"
    return ""


def _unfit_scores(evaluation: ReportedEvaluation, experts: list[str]) -> Iterator[str]:
    """What is wrong with the task scores."""
    known = {BASE, BACKBONE, MERGE, *(EXPERT + name for name in experts)}
    if not evaluation.models.keys() <= known or any(
        t.expert not in {None, *experts} for t in evaluation.tasks.values()
    ):
        yield "they are of other models"
    if any(not scores.keys() <= evaluation.tasks.keys() for scores in evaluation.models.values()):
        yield "they are of other tasks"
    if any(bar.task not in evaluation.tasks for bar in evaluation.gate):
        yield "the gate is about other tasks"
    if not all(isfinite(value) for bar in evaluation.gate for value in (bar.least, bar.found)):
        yield "a bound of the gate is not finite"


def _refuse(found: Iterable[str]) -> None:
    if what := next(iter(found), None):
        raise DamagedError(f"the report's choice does not fit together: {what}", "merge again, or restore the file")


def _unfit_choice(report: Report, experts: list[str]) -> Iterator[str]:
    """What is wrong with the choice among candidates; the rest may rest on what comes first."""
    comparison, activation = report.comparison, report.activation
    if (comparison is not None) != isinstance(report.method, Choosing):
        yield "only methods that choose among candidates have one"
    if (activation is not None) != isinstance(report.method, Arm):
        yield "only `arm` has activations"
    if comparison:
        yield from _unfit_comparison(comparison, experts)
        if activation:
            yield from _unfit_activation(activation, comparison)


def _unfit_comparison(comparison: ReportedComparison, experts: list[str]) -> Iterator[str]:
    benchmarks, tuned = comparison.calibration.keys(), comparison.tuned
    if comparison.selected not in comparison.candidates:
        yield "the chosen one is no candidate"
    if any(isinstance(each.method, Choosing) for each in comparison.candidates.values()):
        yield "a candidate is itself a choice"
    if not benchmarks:
        yield "it has no benchmark"
    if any(each.expert not in experts for each in comparison.calibration.values()):
        yield "a benchmark's expert is none of the experts"
    yield from _unfit_measures(comparison)
    if not comparison.experts.keys() <= benchmarks or any(s.benchmark not in benchmarks for s in comparison.samples):
        yield "experts or samples are of other benchmarks"
    if tuned and not {tuned.start, *tuned.tried} <= comparison.candidates.keys():
        yield "the search tried something that is no candidate"
    if tuned and not {*tuned.kept, *tuned.before, *tuned.after} <= benchmarks:
        yield "the search was judged on other benchmarks"


def _unfit_measures(comparison: ReportedComparison) -> Iterator[str]:
    """What is wrong with the numbers of candidates and experts."""
    benchmarks, candidates = comparison.calibration.keys(), comparison.candidates.values()
    if any(each.aos and each.aos.keys() != benchmarks for each in candidates):
        yield "a candidate's overlap is of other benchmarks"
    if any(bool(each.aos) != (each.mean_aos is not None) for each in candidates):
        yield "a candidate's overlap has no mean"
    if len({bool(each.aos) for each in candidates}) > 1:
        yield "the overlap of some candidates is missing"
    found = [*candidates, *comparison.experts.values()]
    if any(not {*each.likelihood, *each.scores} <= benchmarks for each in found):
        yield "something was measured on other benchmarks"
    means = [mean for each in candidates for mean in (each.mean_aos, each.aos_layer_mean) if mean is not None]
    if not _are_shares([comparison.top_k, *means, *(value for each in candidates for value in each.aos.values())]):
        yield "an overlap is no share"
    if not _are_shares([half for runs in comparison.calibration.values() if (half := runs.split_half) is not None]):
        yield "an agreement of halves is no share"
    if not all(isfinite(value) for each in found for by in (each.likelihood, each.scores) for value in by.values()):
        yield "a measure is not finite"


def _unfit_activation(activation: ReportedActivation, comparison: ReportedComparison) -> Iterator[str]:
    candidates, benchmarks = comparison.candidates.keys(), comparison.calibration.keys()
    if activation.selected != comparison.selected:
        yield "two candidates were chosen"
    if not candidates == activation.aos.keys() == activation.mean_aos.keys() == activation.aos_layer_mean.keys():
        yield "activations are of other candidates"
    if any(activation.aos[name] != each.aos for name, each in comparison.candidates.items() if name in activation.aos):
        yield "there are two values of an overlap"
    if activation.per_layer.keys() != benchmarks or not {*activation.weak, *activation.gaps} <= benchmarks:
        yield "activations are of other benchmarks"
    if len({*activation.weak}) < len(activation.weak):
        yield "a benchmark is weak twice"
    layers = {len(values) for values in activation.per_layer.values()}
    if len(layers) != 1 or layers == {0}:
        yield "layers differ between benchmarks"
    if not _are_shares([value for values in activation.per_layer.values() for value in values] + [activation.chance]):
        yield "an overlap is no share"
    if not all(map(isfinite, activation.gaps.values())):
        yield "a gap is not finite"
    for overlap in (activation.overlap, activation.overlap_agnostic):
        if overlap:
            yield from _unfit_overlap(overlap, comparison.calibration)
    yield from _unfit_transplants(activation, comparison, layers)


def _unfit_overlap(overlap: ReportedCrossOverlap, benchmarks: Mapping[str, object]) -> Iterator[str]:
    if overlap.of_own.keys() != benchmarks.keys() or overlap.pairwise.keys() != benchmarks.keys():
        yield "the experts' overlap is of other benchmarks"
    rows = overlap.pairwise.items()
    if any({*row, one} != {*benchmarks} for one, row in rows):
        yield "the experts' overlap lacks a pair"
    values = [value for _, row in rows for value in row.values()]
    if not _are_shares([overlap.of_union, *overlap.of_own.values(), *values]):
        yield "an overlap is no share"


def _unfit_transplants(
    activation: ReportedActivation, comparison: ReportedComparison, layers: set[int]
) -> Iterator[str]:
    if not activation.transplanted.keys() <= {*activation.weak}:
        yield "neurons were transplanted for a benchmark that is not weak"
    for name, found in activation.transplanted.items():
        if name not in comparison.calibration or found.expert != comparison.calibration[name].expert:
            yield "neurons are of an expert that is not the benchmark's"
        if {len(found.per_layer)} != layers or sum(found.per_layer) != found.neurons:
            yield "the layers' neurons are not all neurons"
        if min([*found.per_layer, found.applied, found.protected]) < 0 or found.applied > found.neurons:
            yield "more neurons were transplanted than there are"
        if found.neurons + found.protected != found.salient or not _are_shares([found.fraction]):
            yield "the neurons of a transplantation do not add up"
        if found.gap is not None and not isfinite(found.gap):
            yield "a gap is not finite"


def _are_shares(values: Iterable[float]) -> bool:
    return all(0 <= value <= 1 for value in values)
