"""Every method written down from its paper, element by element, slowly: what the engine is compared with.

Conversions are torch's (bfloat16) and numpy's (float16), so nothing here shares code with the kernels.
"""

import hashlib
import math
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


def changes(base: np.ndarray, experts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """tau_t, flat; 0 where an expert has no element."""
    found = []
    for expert in experts:
        tau = np.zeros_like(base)
        n = min(len(base), len(expert))
        tau[:n] = expert[:n] - base[:n]
        found.append(tau)
    return found


def summed(base: np.ndarray, terms: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of float32 terms in their order."""
    total = np.zeros_like(base)
    for term in terms:
        total = total + term
    return total


def average(base: np.ndarray, experts: Sequence[np.ndarray]) -> np.ndarray:
    """The mean; an expert that lacks an element leaves it as the base has it."""
    whole = [np.concatenate([expert, base[len(expert) :]])[: len(base)] for expert in experts]
    return F(1.0 / len(experts)) * summed(base, whole)


def task_arithmetic(base: np.ndarray, experts: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The base and the weighted sum of all task vectors."""
    return base + summed(base, [F(w) * tau for w, tau in zip(weights, changes(base, experts), strict=True)])


def ram_unique(base: np.ndarray, experts: Sequence[np.ndarray], which: int, scale: float, epsilon: float) -> np.ndarray:
    """What one expert alone has changed; a scale of 0 leaves the base's bits, -0.0 among them."""
    taus = changes(base, experts)
    changed = [np.abs(tau) > F(epsilon) for tau in taus]
    alone = changed[which] & (np.sum(changed, axis=0) == 1) & (F(scale) != 0)
    return np.where(alone, base + F(scale) * taus[which], base)


def trimmed(tau: np.ndarray, density: float) -> np.ndarray:
    """The k largest magnitudes, equals by the lower index, by sorting; 0 elsewhere."""
    k = max(1, math.floor(density * len(tau)))
    order = np.lexsort((np.arange(len(tau)), -np.abs(tau)))
    kept = np.zeros_like(tau)
    kept[order[:k]] = tau[order[:k]]
    return kept


def elected(base: np.ndarray, taus: Sequence[np.ndarray], weights: Sequence[float], scale: float) -> np.ndarray:
    """The weighted mean of those changes that have the sign which weighs more."""
    terms = [F(w) * tau for w, tau in zip(weights, taus, strict=True)]
    gamma = np.where(summed(base, terms) >= 0, F(1), F(-1))
    agree = [np.sign(tau) == gamma for tau in taus]
    numerator = summed(base, [np.where(a, term, F(0)) for a, term in zip(agree, terms, strict=True)])
    denominator = summed(base, [np.where(a, F(w), F(0)) for a, w in zip(agree, weights, strict=True)])
    mean = np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, F(1)), F(0))
    return base + F(scale) * mean


def ties(
    base: np.ndarray, experts: Sequence[np.ndarray], density: float, weights: Sequence[float], scale: float
) -> np.ndarray:
    """Trim, elect, merge."""
    return elected(base, [trimmed(tau, density) for tau in changes(base, experts)], weights, scale)


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Philox 4x32 with 10 rounds, as in table 2 of its paper (Salmon et al., 2011), on Python's integers."""
    c, k, low = list(counter), list(key), 2**32 - 1
    for i in range(10):
        if i:
            k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
        left, right = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(right >> 32) ^ c[1] ^ k[0], right & low, (left >> 32) ^ c[3] ^ k[1], left & low]
    return c


def kept_at_random(n: int, drop_rate: float, seed: int, expert: str, tensor: str) -> np.ndarray:
    """The mask of one expert for one tensor, flat: element i has word i mod 4 of counter i // 4."""
    key = hashlib.sha256(f"{seed}\0{expert}\0{tensor}".encode()).digest()
    words = int.from_bytes(key[:4], "little"), int.from_bytes(key[4:8], "little")
    drawn = [word for i in range((n + 3) // 4) for word in philox([i & (2**32 - 1), i >> 32, 0, 0], words)]
    return np.array([word / 2**32 >= drop_rate for word in drawn[:n]], bool)


def dare(
    base: np.ndarray, experts: Sequence[np.ndarray], masks: Sequence[np.ndarray], p: float, weights: Sequence[float]
) -> np.ndarray:
    """The base and the weighted sum of what was not dropped, rescaled."""
    kept = [np.where(mask, tau, F(0)) for mask, tau in zip(masks, changes(base, experts), strict=True)]
    rescale = 1.0 / (1.0 - p)
    return base + summed(base, [F(w * rescale) * tau for w, tau in zip(weights, kept, strict=True)])


def dare_ties(
    base: np.ndarray,
    experts: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    p: float,
    weights: Sequence[float],
    scale: float,
) -> np.ndarray:
    """The same, but elected and averaged as TIES does."""
    rescale = F(1.0 / (1.0 - p))
    kept = [rescale * np.where(mask, tau, F(0)) for mask, tau in zip(masks, changes(base, experts), strict=True)]
    return elected(base, kept, weights, scale)


def model_stock_share(taus: Sequence[np.ndarray]) -> float:
    """t from the angles, whose sums are exact."""
    experts = range(len(taus))
    wide = [tau.astype(np.float64) for tau in taus]
    dot = {(t, u): math.fsum(wide[t] * wide[u]) for t in experts for u in experts if t <= u}
    cosines = [
        dot[t, u] / (math.sqrt(dot[t, t]) * math.sqrt(dot[u, u])) if dot[t, t] and dot[u, u] else 0.0
        for t in experts
        for u in experts
        if t < u
    ]
    cosine = sum(cosines) / len(cosines)
    n, denominator = len(taus), 1.0 + (len(taus) - 1) * cosine
    return min(max(n * cosine / denominator, 0.0), 1.0) if denominator > 1e-9 else 0.0


def model_stock(base: np.ndarray, experts: Sequence[np.ndarray], filters: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """What Model Stock gives, and how far off rounding may be: the sum of the sizes of both terms."""
    mean = average(base, experts)
    taus = [tau.reshape(filters, -1) for tau in changes(base, experts)]
    shares = np.array([model_stock_share([tau[i] for tau in taus]) for i in range(filters)])
    share = np.repeat(shares, len(base) // filters)
    exact = share * mean.astype(np.float64) + (1.0 - share) * base.astype(np.float64)
    return exact.astype(np.float32), np.abs(mean) + np.abs(base)
