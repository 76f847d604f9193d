"""A `ramekin` that has its imports behind it: every command runs in a fork of its own, as fresh as a new process.

Started with the environment of one embedded Hub, since the Hub's client reads some of it when it is imported. Reads
one JSON object per line from stdin (`arguments`, `directory`, `environment`, `out` and `err` as paths) and answers each
with a line that holds the exit code. With `--models` it has also imported what watches models at work, with `--signing`
what signs.
"""

import gc
import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import ramekin.drift
import ramekin.plan.rendering
import ramekin.publish.directory
import ramekin.verify.verifying  # noqa: F401 - all of these are only loaded
from ramekin.cli.main import main
from tests.integration.forking import warm_up, warm_up_models

_LIMIT = 60
"""Seconds after which a command is killed."""


def run(job: dict[str, Any]) -> NoReturn:
    """Be the command: never returns."""
    code = 99
    try:
        signal.alarm(_LIMIT)
        for descriptor, path in ((1, job["out"]), (2, job["err"])):
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, descriptor)
            os.close(target)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(job["directory"])
        os.environ.clear()
        os.environ.update(job["environment"])
        code = main(job["arguments"])
    except BaseException:  # noqa: BLE001 - a child that goes on would be a second parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    warm_up()
    if "--models" in sys.argv:
        warm_up_models()
    if "--signing" in sys.argv:
        importlib.import_module("ramekin.attestation.library")
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
