"""By which measure neurons are watched: ARM's own (arXiv 2601.07309, Eq. 2), or an extension of it.

    abs         s_l[j] = mean over trajectories of the mean over the role's tokens of |z_l[j]|
    abs_wout    the same times the length of column j of the output projection, ||W_out_l[:, j]||_2
    contrast    the same less the mean over all that the assistant says in these trajectories

A token is watched where it stands, or, with a shift of -1, where it is predicted: at the one before. The first token of
a text has none before it, and is left out.

What is read is decided here, once for all models: roles keep the tokens that are watched, and the trajectories that
have any. Whatever comes after that, what is cut off, begun with or kept, follows from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ramekin.arm.reading import Material
from ramekin.arm.roles.finding import Role, Traced
from ramekin.errors import DamagedError, Problem
from ramekin.methods.base import Method
from ramekin.methods.watched import Saliency, Shift

_OTHERWISE: Final = "or leave out `saliency: contrast`"


@dataclass(frozen=True)
class Measure:
    """A measure.

    Attributes:
        saliency: How much a neuron does.
        shift: Where a token is watched.
    """

    saliency: Saliency = "abs"
    shift: Shift = 0

    @classmethod
    def of(cls, method: Method) -> "Measure":
        """That of a method; the paper's, where it has no such parameters."""
        return cls(getattr(method, "saliency", "abs"), getattr(method, "shift", 0))

    @property
    def contrasts(self) -> bool:
        """Whether the role is compared with all that the assistant says."""
        return self.saliency == "contrast"

    def part_of_key(self, *, said: bool = False) -> dict[str, object]:
        """What a key has of it; nothing of the paper's.

        Args:
            said: Whether it is about all that the assistant says, which is contrasted with nothing.
        """
        plain = self.saliency == "abs" or (said and self.contrasts)
        found: dict[str, object] = {} if plain else {"saliency": self.saliency}
        return found | ({"shift": self.shift} if self.shift else {})


PAPERS: Final = Measure()
"""The paper's own."""


def as_watched(materials: Mapping[str, Material], measure: Measure) -> dict[str, Material]:
    """Benchmarks with those tokens of their roles that are watched.

    Raises:
        DamagedError: None are, or a role is not to be told from all that the assistant says; the problems of all
            benchmarks at once.
    """
    found: dict[str, Material] = {}
    problems: list[Problem] = []
    for name, material in materials.items():
        where = f"`benchmarks.{name}.calibration`"
        each = _shifted(material, measure.shift) if measure.shift else material
        if not each.role.trajectories:
            what = f"ARM_EMPTY_ROLE: in {where} no token of the role has one before it"
            problems.append(Problem(what, "record what stands before the role, or leave out `shift: -1`"))
            continue
        if measure.contrasts:
            problem = _not_to_be_contrasted(each, where)
            problems += [problem] if problem else []
            each = replace(each, role=_beside(each.role, each.said)) if each.said else each
        found[name] = each
    if problems:
        raise DamagedError(problems=problems)
    return found


def _shifted(material: Material, shift: Shift) -> Material:
    """Role and comparison in the calibration data at other tokens; likelihood is about the tokens themselves."""
    role, said = _moved(material.role, shift), material.said and _moved(material.said, shift)
    return replace(material, role=role, said=said if said and said.trajectories else None)


def _moved(role: Role, shift: Shift) -> Role:
    trajectories = []
    for traced in role.trajectories:
        positions = tuple(at + shift for at in traced.positions if at + shift >= 0)
        if positions:
            trajectories.append(replace(traced, positions=positions, ids=traced.ids[: positions[-1] + 1]))
    left_out = len(role.trajectories) - len(trajectories)
    return _with(role, trajectories, f"{left_out} trajectories have the role in their first token alone")


def _beside(role: Role, said: Role) -> Role:
    """Those trajectories in which there is something to contrast the role with: the limit may have cut all of it."""
    known = {traced.digest for traced in said.trajectories}
    trajectories = [traced for traced in role.trajectories if traced.digest in known]
    left_out = len(role.trajectories) - len(trajectories)
    return _with(role, trajectories, f"in {left_out} trajectories the limit on tokens cuts all that the assistant says")


def _with(role: Role, trajectories: list[Traced], why: str) -> Role:
    """A role in those trajectories that are watched; the others count as without it, and there is a warning."""
    left_out = len(role.trajectories) - len(trajectories)
    warnings = [*role.warnings, f"{why}, and are left out"] if left_out else role.warnings
    return replace(role, trajectories=trajectories, without=role.without + left_out, warnings=warnings)


def _not_to_be_contrasted(material: Material, where: str) -> Problem | None:
    """Why a role cannot be contrasted with all that the assistant says; None if it can."""
    if material.said is None:
        return Problem(
            f"in {where} nobody knows all that the assistant says, and `saliency: contrast` is about that",
            f"give these runs as messages instead of texts, {_OTHERWISE}",
        )
    role = _beside(material.role, material.said)
    if not role.trajectories:
        return Problem(
            f"ARM_EMPTY_ROLE: in {where} the limit on tokens cuts all that the assistant says",
            f"set a higher `max_tokens` for the benchmark, {_OTHERWISE}",
        )
    said = {traced.digest: traced.positions for traced in material.said.trajectories}
    if all(traced.positions == said[traced.digest] for traced in role.trajectories):
        return Problem(
            f"in {where} the role is all that the assistant says: `saliency: contrast` would be 0 for every neuron",
            f"choose a narrower role, {_OTHERWISE}",
        )
    return None
