"""A process that has imported everything, and forks a child for every command: as fresh as a new one, and cheaper.

    python -m tests.integration.forking --FLAG…     serves requests, one JSON object per line, on stdin and stdout
    python -m tests.integration.forking JSON ARG…   is one command itself, really fresh, with the traps of the request

A request for a command holds `arguments`, `directory`, `environment`, `out` and `err` (paths), and optionally `trap`
(see `traps`), `clock` (how much faster sleeping goes), `memory` (a limit on the address space, in bytes), `before`
(Python that is run first) and `program` (the module whose `main` is called, if not the command line's). It is answered
with the child's process id. A request `{"wait": PID}` is answered with that child's exit code.

With `--models` it has also imported what watches models at work, with `--signing` what signs.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel

from tests.integration import traps
from tests.syncing import no_waiting


def be(request: dict[str, Any]) -> NoReturn:
    """Be the command that was asked for, up to the interpreter's end."""
    for descriptor, path in ((1, request["out"]), (2, request["err"])):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, descriptor)
        os.close(target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # What the Hub's client has read of another environment when it was imported; all else asks this module.
    importlib.reload(importlib.import_module("huggingface_hub.constants"))
    code: Any = 1
    try:
        command(request)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
    finally:
        leave(code)


def leave(code: int) -> NoReturn:
    """End as an interpreter does, but for taking apart every module that there is, which takes a tenth of a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def command(request: dict[str, Any]) -> NoReturn:
    """Run the command line with what the request asks for."""
    main = importlib.import_module(request.get("program", "ramekin.__main__")).main
    if clock := request.get("clock"):
        real = time.sleep
        time.sleep = lambda seconds: real(seconds / clock)
    if memory := request.get("memory"):
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    if before := request.get("before"):
        exec(before, {})  # noqa: S102
    finished = traps.arm(request["trap"]) if request.get("trap") else None
    sys.argv = ["ramekin", *request["arguments"]]
    code = main()
    if finished:
        finished()
    sys.exit(code)


_IMPORTED = (
    *("cli.comparing", "cli.merging", "cli.outcome", "cli.pinning", "cli.planning", "cli.publishing", "cli.verifying"),
    *("benchmarks", "card.writing", "diff.differing", "drift", "merge.merging", "pipeline", "plan.rendering", "stock"),
    *("publish.card_only", "publish.directory", "publish.following", "publish.release", "publish.uploads"),
    *("publish.writer", "verify.verifying"),
    *("action.commands", "action.entry", "github.client", "action.planning", "action.running"),
)


def warm_up() -> None:
    """Import what commands import, and compile what they compile, by merging one tensor."""
    from ramekin.checkpoint.tensors import Tensor
    from ramekin.merge.engine import merge_weights
    from ramekin.merge.files import AtHand
    from ramekin.merge.loops import on_processor
    from ramekin.merge.loops.native import Native
    from ramekin.methods.ram import Ram, RamPlus
    from ramekin.plan.layout import Layout, Shard, TensorTask
    from ramekin.templating import template_environment

    for module in _IMPORTED:
        importlib.import_module(f"ramekin.{module}")
    for markup, ending in ((False, ".md.jinja"), (True, ".svg.jinja")):
        environment = template_environment(markup=markup)
        for template in environment.list_templates(filter_func=lambda name: name.endswith(ending)):  # noqa: B023
            environment.get_template(template)
    loops = [loop for loop in vars(on_processor).values() if isinstance(loop, Native)]
    # Two workers begin at the two ends: on a fresh machine each compiles half of the loops, instead of waiting.
    for loop in loops if os.environ.get("PYTEST_XDIST_WORKER", "gw0")[-1] in "02468" else reversed(loops):
        loop.load()
    tensor = Tensor("t", "BF16", (8,), "weights", 0)
    layout = Layout((Shard("out", (TensorTask("t", "BF16", (8,), "merge", tensor, (tensor,) * 3),)),), ("a", "b", "c"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "weights"
        path.write_bytes(bytes(16))
        supply = AtHand({role: {"weights": path} for role in ("base", "expert:a", "expert:b", "expert:c")})
        for method in (Ram(), RamPlus()):
            merge_weights(layout, supply, method, Path(name))
    build_models(BaseModel)


def build_models(above: type[BaseModel]) -> None:
    """Build what is otherwise built at its first use, which is in every fork."""
    for model in above.__subclasses__():
        if model.__module__.startswith("ramekin.") and not model.__pydantic_generic_metadata__["parameters"]:
            model.model_rebuild()
        build_models(model)


def keep_certificates() -> None:
    """Read this machine's certificates once: a twentieth of a second for each command, and no Hub here needs them."""
    import httpcore2
    from huggingface_hub import close_session, get_session

    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)
    get_session()
    close_session()


def warm_up_models() -> None:
    """Import what watching models imports. Nothing is computed: threads of torch would not be there in a fork."""
    import torch.distributed
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig, LlamaForCausalLM
    from transformers import PreTrainedTokenizerFast as Tokenizer
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.utils.chat_template_utils import render_jinja_template

    from ramekin import watching
    from ramekin.arm import asking, deciding, reporting, showing
    from ramekin.cli import processes
    from ramekin.merge import distributed

    assert all((torch.distributed, PartialState, processes, distributed))
    assert all((AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig, LlamaForCausalLM, Tokenizer))
    assert all((get_model_conversion_mapping, render_jinja_template))
    assert all((watching, asking, deciding, reporting, showing))


def serve() -> None:
    """Answer requests until stdin ends."""
    no_waiting()
    warm_up()
    keep_certificates()
    if "--models" in sys.argv:
        warm_up_models()
    if "--signing" in sys.argv:
        importlib.import_module("ramekin.attestation.library")
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
    if not set(sys.argv[1:]) <= {"--models", "--signing"}:
        command(json.loads(sys.argv[1]) | {"arguments": sys.argv[2:]})
    serve()
