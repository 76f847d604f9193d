"""Merge small checkpoints with mergekit. Run by its own interpreter, which has no ramekin:

    .venv-mergekit/bin/python tests/merge/mergekit_run.py JOBS.json

Every job names `base` and `experts` (files), `method`, `parameters`, whether the method is given the base, and `out`.
"""

import json
import sys

import torch
from mergekit.merge_methods import merge_state_dicts
from safetensors.torch import load_file, save_file


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        jobs = json.load(file)
    for job in jobs:
        models = {"base": load_file(job["base"])} if job["given_base"] else {}
        models |= {f"expert {number}": load_file(path) for number, path in enumerate(job["experts"])}
        merged = merge_state_dicts(
            models,
            job["method"],
            parameters=job["parameters"],
            base="base" if job["given_base"] else None,
            dtype=torch.float32,
            out_dtype=torch.bfloat16,
        )
        save_file({name: tensor.contiguous() for name, tensor in merged.items()}, job["out"], {"format": "pt"})


if __name__ == "__main__":
    main()
