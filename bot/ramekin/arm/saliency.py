"""How much a neuron does in a role (arXiv 2601.07309, Eq. 2).

    s_l[j] = mean over trajectories that have the role at all of (mean over the role's tokens of |z_l[j]|)

Every trajectory counts as much as any other, however many tokens it has; one without a token in the role does not.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ramekin.errors import DamagedError

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


class RoleMean:
    """Takes up one trajectory after the other, for one role, in any order and on any number of processes.

    The sum is kept in two float64, which hold it to 100 bits and more, so that it is the same in every order.

    Args:
        widths: Neurons of every layer.

    Attributes:
        sums: Of every layer `[f]` twice, the sum of the trajectories' means, and what its rounding lost.
        trajectories: How many there were.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self.sums = [(np.zeros(width, np.float64), np.zeros(width, np.float64)) for width in widths]
        self.trajectories = 0

    def take(self, layers: Sequence[torch.Tensor], weight: float = 1.0) -> None:
        """Include a trajectory.

        Args:
            layers: Of each layer `[f]`: what `magnitude` gives.
            weight: How much it counts; over all trajectories the mean is 1.

        Raises:
            DamagedError: Something is NaN or infinite.
        """
        found = [layer.numpy(force=True).astype(np.float64) for layer in layers]
        for number, layer in enumerate(found):
            if not np.isfinite(layer).all():
                raise DamagedError(
                    f"ARM_NONFINITE: activations of layer {number} are not finite",
                    "trace in bfloat16 or float32; float16 overflows in the MLPs of many models",
                )
        self._add(found if weight == 1 else [layer * weight for layer in found])
        self.trajectories += 1

    def merge(self, other: "RoleMean") -> None:
        """Include what another process has."""
        for part in (0, 1):
            self._add([sums[part] for sums in other.sums])
        self.trajectories += other.trajectories

    def _add(self, layers: Sequence[Doubles]) -> None:
        self.sums = [_two_sum(total, values, rest) for (total, rest), values in zip(self.sums, layers, strict=True)]

    def result(self, lengths: Sequence[Doubles] | None = None) -> list[Floats]:
        """The saliency of each layer, `[f]`.

        Args:
            lengths: Of each layer `[f]`, what each neuron's magnitude is taken times, if it is.

        Raises:
            DamagedError: No trajectory has a token in the role.
        """
        if not self.trajectories:
            raise DamagedError(
                "ARM_EMPTY_ROLE: no trajectory has a token in the role",
                "look at what the parser finds: `ramekin roles`",
            )
        found = [(total + rest) / self.trajectories for total, rest in self.sums]
        if lengths is not None:
            found = [mean * length for mean, length in zip(found, lengths, strict=True)]
        return [mean.astype(np.float32) for mean in found]


def _two_sum(total: Doubles, values: Doubles, rest: Doubles) -> tuple[Doubles, Doubles]:
    """`total + values`, rounded, and `rest` with what the rounding lost, exactly (Knuth, TAOCP 2, 4.2.2)."""
    found = total + values
    back = found - total
    return found, rest + ((total - (found - back)) + (values - back))


def mean_magnitude(z: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Mean of `|z|` over a role's tokens, in float32.

    Args:
        z: `[tokens, f]`, what enters the MLP's output projection, in the model's type.
        positions: `[n]`, the role's tokens, at least one.
    """
    return z.index_select(0, positions).abs().float().mean(0)


def magnitude(z: torch.Tensor, positions: torch.Tensor, against: torch.Tensor | None = None) -> torch.Tensor:
    """The same, or its excess over that of other tokens: the difference of both means, in float64.

    Args:
        z: As above.
        positions: As above.
        against: `[m]`, the other tokens, at least one.
    """
    mean = mean_magnitude(z, positions)
    return mean if against is None else mean.double() - mean_magnitude(z, against).double()
