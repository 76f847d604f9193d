"""What to conclude from each plot: sentences from the same numbers, as plain text."""

from ramekin.card.contest import Contest
from ramekin.card.numbers import decimal, factor, fraction, grouped, percent, score, short
from ramekin.card.patterns import Patterns
from ramekin.card.scoring import Scoring
from ramekin.choice import ENOUGH, ReportedComparison
from ramekin.markdown import plain
from ramekin.methods.base import Method
from ramekin.report import Report
from ramekin.scores import MERGE


def overlap_caption(patterns: Patterns, experts: int, method: Method, *, whole: bool) -> str:
    """Of the overlap plot: who keeps out of whose way, and what that means for a merge."""
    shown_only = method.overlap == "shows"
    if not patterns.changed:
        told = f" by more than {method.threshold}" if shown_only else ": this is the base"
        return f"No expert changed any of the {grouped(patterns.elements)} weights{told}."
    told = f" by more than {method.threshold}" if shown_only else " and are the base's"
    untouched = percent(patterns.of_all(patterns.untouched))
    first = f"{untouched} of the {grouped(patterns.elements)} weights were changed by nobody{told}."
    if experts == 1:
        return f"{first} All others {'hold what the expert learned' if whole else 'were changed by the expert'}."
    alone, together = (percent(patterns.of_changed(count)) for count in (patterns.alone, patterns.together))
    if patterns.alone >= patterns.together:
        cut = f"{'cuts' if method.name == 'average' else 'would have cut'} each of these changes to {fraction(experts)}"
        apart = f"{first} Of the others {alone} were changed by one expert alone: the experts mostly keep out of each "
        apart += "other's way."
        return apart if whole else f"{apart} An average over {experts} {cut}."
    return (
        f"{first} Of the others {together} were changed by several experts, who mostly work on the same weights, and "
        f"{alone} by one alone. Where experts pull the same weight in different directions, none of them gets all that "
        "it learned."
    )


def density_caption(report: Report, method: Method) -> str:
    """Of the density plot: who changed most and least, and what the factors make of it."""
    found = {plain(each.name, 64): report.overlap.experts[each.name] for each in report.experts}
    most, least = (choose(found, key=lambda name: found[name].density) for choose in (max, min))
    told = [f"{most} changed most, {percent(found[most].density)} of the model"]
    if len(found) > 1:
        told[0] += f"; {least} least, {percent(found[least].density)}."
    else:
        told[0] += "."
    factors = {name: each.factor for name, each in found.items() if each.factor is not None}
    if factors and set(factors.values()) == {1.0}:
        told.append(f"{method.name} keeps what each changed alone as it is.")
    elif factors:
        strongest, weakest = (choose(factors, key=lambda name: factors[name]) for choose in (max, min))
        if factors[strongest] == factors[weakest]:
            told.append(f"{method.name} multiplies what each changed alone by {factor(factors[strongest])}.")
        else:
            told.append(
                f"The more of its changes an expert shares, and so loses to averaging, the more {method.name} "
                f"strengthens the rest: by {factor(factors[weakest])} for {weakest} up to "
                f"{factor(factors[strongest])} for {strongest}."
            )
    return " ".join(told)


def scores_caption(scoring: Scoring) -> str:
    """Of the score plot: what is left of the best single expert's scores, and what no expert can."""
    own = scoring.evaluation.values(MERGE)
    oracle = {task: best for task, best in scoring.evaluation.best_of_experts().items() if task in own and best > 0}
    if not oracle:
        return ""
    parts = {task: own[task] / best for task, best in oracle.items()}
    best, worst = (choose(parts, key=lambda task: parts[task]) for choose in (max, min))
    if len(parts) == 1:
        told = f"It has {percent(parts[best])} of the best single expert's score."
    else:
        told = f"Of the best single expert's score it has {percent(parts[best])} on {plain(best, 64)}"
        told += (
            f" and {percent(parts[worst])} on {plain(worst, 64)}."
            if parts[best] > parts[worst]
            else " as on all tasks."
        )
    weakest = [summary.worst for summary in scoring.sums_of_experts] if scoring.comparable else []
    lowest = scoring.sum_of(MERGE)
    if weakest and lowest and lowest.worst > max(weakest):
        told += f" On its weakest task it has {score(lowest.worst)}; "
        told += f"no expert has more than {score(max(weakest))} on its own weakest."
    return told


def heat_caption(contest: Contest) -> str:
    """Of the heat map of candidates."""
    winner, best = contest.winner, contest.ranked("aos")[0]
    if best.name != winner.name:
        return (
            f"{plain(best.name, 80)} has the highest mean overlap, {decimal(best.aos or 0.0)}; "
            f"{plain(winner.name, 80)} was chosen with {decimal(winner.aos or 0.0)}, because something else decided."
        )
    scores = winner.found.aos
    lowest = min(scores, key=lambda name: scores[name])
    told = f"The neurons of {plain(winner.name, 80)} work most like the experts'"
    if contest.lead is not None:
        told += f", {decimal(contest.lead)} ahead of the next"
    told += f"; least so on {plain(lowest, 64)}, {decimal(scores[lowest])}" if len(scores) > 1 else ""
    return f"{told}. By chance it would be about {decimal(contest.chance, 3)}."


def halves_caption(comparison: ReportedComparison) -> str:
    """Of the table of recorded runs: whether more of them are worth it."""
    known = {name: runs.split_half for name, runs in comparison.calibration.items() if runs.split_half is not None}
    if not known:
        return ""
    few = {name: share for name, share in known.items() if share < ENOUGH}
    if not few:
        lowest = min(known.values())
        return f"The halves agree on at least {decimal(lowest, 2)} everywhere, so more runs would change little."
    worst = min(few, key=lambda name: few[name])
    enough = f"From {ENOUGH:g} on more runs would change little"
    if len(known) == 1:
        return f"{enough}; {decimal(few[worst], 2)} is less, so more runs are worth it."
    told = f"{enough}. {len(few)} of {len(known)} benchmarks have less, so more runs are worth it there"
    return f"{told}, first for {plain(worst, 64)}, with {decimal(few[worst], 2)}."


def layers_caption(contest: Contest) -> str:
    """Of the lines by layer: where the backbone is least like the experts."""
    activation = contest.activation
    if activation is None or len(next(iter(activation.per_layer.values()), ())) < 2:
        return ""
    columns = [*zip(*activation.per_layer.values(), strict=True)]
    means = [sum(column) / len(column) for column in columns]
    low, high = means.index(min(means)), means.index(max(means))
    return (
        f"The backbone is least like the experts in layer {low}, {decimal(means[low], 2)} on average, "
        f"and most in layer {high}, {decimal(means[high], 2)}."
    )


def transplant_caption(contest: Contest) -> str:
    """Of the bars by layer: where the transplanted neurons are."""
    sets = [found.per_layer for _, found in contest.repaired if any(found.per_layer)]
    if not sets:
        return ""
    totals = [sum(column) for column in zip(*sets, strict=True)]
    most = totals.index(max(totals))
    half = sum(totals[: (len(totals) + 1) // 2]) / sum(totals)
    return (
        f"Layer {most} got most, {grouped(totals[most])} of {short(sum(totals))}; "
        f"{percent(half)} are in the first half of the layers."
    )


def roles_caption(contest: Contest) -> str:
    """Of the matrices of what experts have in common."""
    activation = contest.activation
    if activation is None:
        return ""
    roles, other = activation.overlap.of_union, activation.overlap_agnostic
    told = f"Of the neurons that do most in any benchmark's role, {percent(roles)} do so in two or more."
    if other is None:
        return told
    end = (
        ": what they do in their roles tells the experts apart better than all that they say"
        if roles < other.of_union
        else ""
    )
    return f"{told} Over all that the assistant says, whatever its role, it is {percent(other.of_union)}{end}."
