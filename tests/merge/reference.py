"""RAM written down from the paper, element by element, slowly: what the engine is compared with.

Conversions are torch's (bfloat16) and numpy's (float16), so nothing here shares code with the kernels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

F = np.float32


def to_float32(raw: bytes, dtype: str) -> np.ndarray:
    """The bytes of a tensor as float32, exactly."""
    if dtype == "F32":
        return np.frombuffer(raw, np.float32)
    if dtype == "F16":
        return np.frombuffer(raw, np.float16).astype(np.float32)
    if not raw:
        return np.zeros(0, np.float32)
    return torch.frombuffer(bytearray(raw), dtype=torch.bfloat16).to(torch.float32).numpy()


def from_float32(values: np.ndarray, dtype: str) -> bytes:
    """Float32 values rounded to nearest even, as bytes."""
    values = np.asarray(values, np.float32)
    if dtype == "F32":
        return values.tobytes()
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).tobytes()
    return torch.from_numpy(values.copy()).to(torch.bfloat16).view(torch.int16).numpy().tobytes()


@dataclass(frozen=True)
class Expected:
    """Patterns as strings, one character per expert, and the merged values, float32, one array per tensor."""

    patterns: dict[str, int]
    lambdas: tuple[float, ...]
    merged: dict[str, np.ndarray]


def changed_by(base: np.float32, experts: Sequence[np.float32 | None], epsilon: float) -> list[bool]:
    """m_t,i for one element (Eq. 1); None where an expert lacks it."""
    return [x is not None and bool(abs(F(x - base)) > F(epsilon)) for x in experts]


def rescale(name: str, shared: int, unique: int, r: float, alpha: float) -> float:
    """lambda_t (Eq. 6 and 8), float64."""
    if name == "ram" or shared + unique == 0:
        return 1.0
    rho = shared / unique if unique else float("inf")
    if name == "ram+":
        return 1.0 + r * min(max(rho, 0.0), alpha)
    return 1.0 + r * (rho / (1.0 + rho) if unique else 1.0)


def merge(
    name: str,
    base: dict[str, np.ndarray],
    experts: Sequence[dict[str, np.ndarray]],
    epsilon: float = 1e-5,
    r: float = 0.1,
    alpha: float = 2.0,
) -> Expected:
    """Merge float32 tensors, flat; an expert's tensor may be shorter or longer than the base's."""
    n = len(experts)
    masks: dict[str, list[list[bool]]] = {}
    for tensor, values in base.items():
        masks[tensor] = [
            changed_by(b, [e[tensor][i] if i < len(e[tensor]) else None for e in experts], epsilon)
            for i, b in enumerate(values)
        ]
    every = [m for tensor in masks.values() for m in tensor]
    patterns = {format(p, f"0{n}b")[::-1]: 0 for p in range(1 << n)}
    for m in every:
        patterns["".join("01"[x] for x in m)] += 1
    lambdas = []
    for t in range(n):
        shared = sum(1 for m in every if m[t] and sum(m) >= 2)
        unique = sum(1 for m in every if m[t] and sum(m) == 1)
        lambdas.append(rescale(name, shared, unique, r, alpha))
    merged = {}
    for tensor, values in base.items():
        result = values.copy()
        for i, m in enumerate(masks[tensor]):
            c = sum(m)
            total = F(0)
            for t in range(n):
                if m[t]:
                    total = F(total + F(experts[t][tensor][i] - values[i]))
            if c == 1:
                result[i] = F(values[i] + F(F(lambdas[m.index(True)]) * total))
            elif c >= 2:
                result[i] = F(values[i] + F(F(1.0 / c) * total))
            # c == 0: tau is 0 and the base stays what it is, -0.0 included
        merged[tensor] = result
    return Expected(patterns, tuple(lambdas), merged)
