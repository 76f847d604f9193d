"""Random masks from the same generator; see `loops.masking`.

The words are unsigned and have 32 bits; torch has little arithmetic for those. So each is in an int64, of which only
the lower half counts: a product of two words wraps around to the same 64 bits, signed or not.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

_M0: Final = 0xD2511F53
_M1: Final = 0xCD9E8D57
_W0: Final = 0x9E3779B9
_W1: Final = 0xBB67AE85
_LOW: Final = 0xFFFFFFFF


def philox(key0: int, key1: int, first: int, n: int, device: torch.device) -> Tensor:
    """The words of counters `first` to `first + n - 1`, whose upper half is 0: `[n, 4]`, int64."""
    counters = torch.arange(first, first + n, dtype=torch.int64, device=device)
    x0, x1 = counters & _LOW, counters >> 32
    x2, x3 = torch.zeros_like(x0), torch.zeros_like(x0)
    for i in range(10):
        k0, k1 = (key0 + i * _W0) & _LOW, (key1 + i * _W1) & _LOW
        a, b = x0.mul_(_M0), x2.mul_(_M1)
        x0 = (b >> 32).bitwise_xor_(x1).bitwise_xor_(k0).bitwise_and_(_LOW)
        x2 = (a >> 32).bitwise_xor_(x3).bitwise_xor_(k1).bitwise_and_(_LOW)
        x1, x3 = b, a  # their upper halves are cut off by whatever comes next
    return torch.stack((x0, x1.bitwise_and_(_LOW), x2, x3.bitwise_and_(_LOW)), dim=1)


def drop(change: Tensor, key: tuple[int, int], first: int, threshold: np.uint64) -> None:
    """Set to 0 those changes whose random word is below `threshold`; see `loops.masking.drop`."""
    if not threshold or not len(change):
        return
    counter, lane = divmod(first, 4)
    words = philox(*key, counter, (lane + len(change) + 3) // 4, change.device)
    change.masked_fill_(words.view(-1)[lane : lane + len(change)] < int(threshold), 0.0)
