"""A process that has imported everything, and forks a child for every command: as fresh as a new one, and cheaper.

    python -m tests.integration.forking             serves requests, one JSON object per line, on stdin and stdout
    python -m tests.integration.forking JSON ARG…   is one command itself, really fresh, with the traps of the request

A request for a command holds `arguments`, `directory`, `environment`, `out` and `err` (paths), and optionally `trap`
(see `traps`), `clock` (how much faster sleeping goes) and `memory` (a limit on the address space, in bytes). It is
answered with the child's process id. A request `{"wait": PID}` is answered with that child's exit code.

The Hub's client reads some of the environment when it is imported, so the server is started in that of its Hub.
"""

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from tests.integration import traps


def be(request: dict[str, Any]) -> NoReturn:
    """Be the command that was asked for, up to and including the interpreter's end."""
    for descriptor, path in ((1, request["out"]), (2, request["err"])):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, descriptor)
        os.close(target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    command(request)


def command(request: dict[str, Any]) -> NoReturn:
    """Run the command line with what the request asks for."""
    from ramekin.__main__ import main

    if clock := request.get("clock"):
        real = time.sleep
        time.sleep = lambda seconds: real(seconds / clock)
    if memory := request.get("memory"):
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    finished = traps.arm(request["trap"]) if request.get("trap") else None
    sys.argv = ["ramekin", *request["arguments"]]
    code = main()
    if finished:
        finished()
    sys.exit(code)


def warm_up() -> None:
    """Import what commands import, and compile what they compile, by merging one tensor."""
    from ramekin import stock
    from ramekin.card import writing
    from ramekin.checkpoint.tensors import Tensor
    from ramekin.cli import merging as commands
    from ramekin.merge import merging
    from ramekin.merge.engine import merge_weights
    from ramekin.merge.files import AtHand
    from ramekin.methods.ram import Ram, RamPlus
    from ramekin.plan.layout import Layout, Shard, TensorTask
    from ramekin.publish import card_only, uploads, writer

    assert all((stock, writing, commands, merging, card_only, uploads, writer))
    tensor = Tensor("t", "BF16", (8,), "weights", 0)
    layout = Layout((Shard("out", (TensorTask("t", "BF16", (8,), "merge", tensor, (tensor,) * 3),)),), ("a", "b", "c"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "weights"
        path.write_bytes(bytes(16))
        supply = AtHand({role: {"weights": path} for role in ("base", "expert:a", "expert:b", "expert:c")})
        for method in (Ram(), RamPlus()):
            merge_weights(layout, supply, method, Path(name))


def warm_up_models() -> None:
    """Import what watching models imports. Nothing is computed: threads of torch would not be there in a fork."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig, LlamaForCausalLM
    from transformers import PreTrainedTokenizerFast as Tokenizer
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.utils.chat_template_utils import render_jinja_template

    from ramekin import watching
    from ramekin.arm import asking, deciding, reporting, showing

    assert all((AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig, LlamaForCausalLM, Tokenizer))
    assert all((get_model_conversion_mapping, render_jinja_template))
    assert all((watching, asking, deciding, reporting, showing))


def serve() -> None:
    """Answer requests until stdin ends."""
    warm_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            assert threading.active_count() == 1, threading.enumerate()
            answer = os.fork()
            if not answer:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                be(request)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        command(json.loads(sys.argv[1]) | {"arguments": sys.argv[2:]})
    serve()
