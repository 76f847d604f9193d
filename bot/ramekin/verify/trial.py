"""A model tried out as everybody would use it: loaded, and given something to read. Runs as a process of its own.

One JSON object comes on stdin, with the directory and how many bytes of memory there are; one goes to stdout, with what
was found. Nothing but this process reads what strangers wrote in configs, tokenizers and templates with the libraries
that act on it, and there is no token in it to be had.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

_PROMPT: Final = "Hello! What can you do?"
_MOST_TOKENS: Final = 128
_MOST_SHOWN: Final = 5


def try_model(directory: Path) -> dict[str, Any]:
    """Load a model, and let it answer once.

    Args:
        directory: Its config, tokenizer and weights.

    Returns:
        What is wrong (`problems`), the tensors that the library misses (`missing`) and does not know (`unexpected`),
        which may be the base's own, and what it is, as far as it came. `lacking` names a package that is not installed,
        and `memory` is true where there was too little.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    found: dict[str, Any] = {"problems": [], "missing": [], "unexpected": []}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory, dtype="auto", output_loading_info=True, ignore_mismatched_sizes=True, **_AS_IT_LIES
        )
    except Exception as error:  # noqa: BLE001 - the library raises what it likes for what it does not know
        return found | _blame("transformers cannot load it", error, directory)
    model, info = loaded
    found |= {
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": model.num_parameters(),
        "missing": sorted(map(str, info["missing_keys"])),
        "unexpected": sorted(map(str, info["unexpected_keys"])),
    }
    found["problems"] += _misfits(model, info)
    if found["problems"]:
        return found
    try:
        tokens, problems = _tokens(directory, model)
    except Exception as error:  # noqa: BLE001 - likewise
        return _with(found, _blame("its tokenizer cannot be used", error, directory))
    found["problems"] += problems
    if not tokens or problems:
        return found
    found["tokens"] = len(tokens)
    try:
        found["logits"], problems = _answer(model, tokens)
    except Exception as error:  # noqa: BLE001 - likewise
        return _with(found, _blame("it cannot answer", error, directory))
    found["problems"] += problems
    return found


_AS_IT_LIES: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}


def _misfits(model: Any, info: dict[str, Any]) -> list[str]:
    """What of a loaded model has other dimensions than its config says."""
    sizes = sorted((str(name), [*there], [*wanted]) for name, there, wanted in info["mismatched_keys"])
    problems = [f"tensor {name} is {there}, and the config asks for {wanted}" for name, there, wanted in sizes]
    if len(problems) > _MOST_SHOWN:
        problems = [
            *problems[:_MOST_SHOWN],
            f"{len(problems) - _MOST_SHOWN} more tensors are not as the config has them",
        ]
    words = model.config.get_text_config().vocab_size
    tables = {"embeddings": model.get_input_embeddings(), "output embeddings": model.get_output_embeddings()}
    rows = {name: table.weight.shape[0] for name, table in tables.items() if table is not None}
    return problems + [f"it has {n} {name} for a vocabulary of {words}" for name, n in rows.items() if n != words]


def _tokens(directory: Path, model: Any) -> tuple[list[int], list[str]]:
    """Something to read, in the form that the model is used to, and what is wrong with it."""
    from transformers import AutoTokenizer

    words = model.config.get_text_config().vocab_size
    if not any(each.name.startswith(("tokenizer", "vocab", "spiece", "tekken")) for each in directory.iterdir()):
        return [*range(min(8, words))], []
    # Not `use_safetensors`, which tokenizers know nothing of.
    tokenizer: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    text = _PROMPT
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PROMPT}], add_generation_prompt=True, tokenize=False
        )
    tokens = tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"][:_MOST_TOKENS]
    if not tokens:
        return [], ["its tokenizer makes no tokens of a text"]
    if max(tokens) >= words:
        return tokens, [f"its tokenizer gives token {max(tokens)}, and its vocabulary has {words}"]
    return tokens, []


def _answer(model: Any, tokens: list[int]) -> tuple[list[int], list[str]]:
    """The dimensions of what a model says to these tokens, `[tokens, vocabulary]`, and what is wrong with it."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    problems = []
    wanted = [len(tokens), model.config.get_text_config().vocab_size]
    if [*logits.shape] != wanted:
        problems.append(f"its logits have the dimensions {[*logits.shape]}, not {wanted}")
    if wrong := int((~torch.isfinite(logits)).sum()):
        problems.append(f"{wrong:,} of {logits.numel():,} logits are NaN or infinite")
    return [*logits.shape], problems


def _blame(what: str, error: Exception, directory: Path) -> dict[str, Any]:
    """Whose fault an error is: the model's, or this machine's, which lacks memory or a package."""
    text = str(error).replace(f"{directory}/", "").replace(str(directory), "the model")
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return {"memory": True}
    if isinstance(error, ImportError):
        return {"lacking": line}
    return {"problems": [f"{what}: {type(error).__name__}: {line}"]}


def _with(found: dict[str, Any], blame: dict[str, Any]) -> dict[str, Any]:
    return found | blame | {"problems": [*found["problems"], *blame.get("problems", [])]}


def main() -> None:
    """Read the order, and answer; what libraries print goes to stderr."""
    order = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)
    if order["memory"]:
        # A config can ask for more than there is: this process is to fail then, and no other.
        resource.setrlimit(resource.RLIMIT_DATA, (order["memory"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = try_model(Path(order["directory"]))
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
