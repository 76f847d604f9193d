"""Triton's interpreter, which runs kernels on torch's `cpu` where there is no GPU; to be imported before they are.

A process that compiles them all the same says so beforehand: `TRITON_INTERPRET=0`.
"""

import os
from types import SimpleNamespace

import torch

HERE = torch.cuda.is_available()
"""Whether there is a GPU: kernels are compiled for it then, in all of this process."""

os.environ.setdefault("TRITON_INTERPRET", "0" if HERE else "1")


def _patch_once() -> None:
    """Have the language replaced once for each module: the interpreter does and undoes it at every call."""
    from triton.runtime import interpreter

    real, seen = interpreter._patch_lang, []

    def patch(function: object) -> SimpleNamespace:
        if not any(function.__globals__ is each for each in seen):
            seen.append(function.__globals__)
            real(function)
        return SimpleNamespace(restore=lambda: None)

    interpreter._patch_lang = patch


if os.environ["TRITON_INTERPRET"] == "1":
    _patch_once()
