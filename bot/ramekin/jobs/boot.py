"""What a job starts with, in an image that may have nothing but a Python: ramekin is installed unless it is there.

The text of this file is the job's command. It runs before anything of ours is there, so it needs the standard library
only, and says what goes wrong in the log. No token reaches what installs.
"""

import os
import runpy
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec


def withheld() -> dict[str, str]:
    """The token, taken from where a package that is being built could read it: what this process was started with.

    The system shows that for as long as the process lives. So it starts itself anew without the token, which waits in a
    pipe.
    """
    held = os.environ.pop("RAMEKIN_JOB_HELD", "")
    if held:
        with os.fdopen(int(held)) as stream:
            return {"HF_TOKEN": stream.read()}
    token = os.environ.pop("HF_TOKEN", "")
    if token:
        ours, its = os.pipe()
        os.write(its, token.encode())
        os.close(its)
        os.set_inheritable(ours, True)
        env = os.environ | {"RAMEKIN_JOB_HELD": str(ours)}
        os.execve(sys.executable, sys.orig_argv, env)  # noqa: S606 - no shell is wanted
    return {}


def boot() -> None:
    """Make sure that there is the wanted version, and go on inside of it."""
    wanted, extra, needed = (os.environ[f"RAMEKIN_JOB_{name}"] for name in ("VERSION", "EXTRA", "NEEDS"))
    try:
        found = metadata.version("ramekin")
    except metadata.PackageNotFoundError:
        found = None
    if found != wanted or find_spec(needed) is None:
        token = withheld()
        sys.stderr.write(f"installing ramekin[{extra}] {wanted} into {sys.prefix}\n")
        sys.stderr.flush()
        hidden = ("TOKEN", "SECRET", "PASSWORD")
        env = {name: value for name, value in os.environ.items() if not any(word in name for word in hidden)}
        env.update(PIP_BREAK_SYSTEM_PACKAGES="1", PIP_ROOT_USER_ACTION="ignore", PIP_DISABLE_PIP_VERSION_CHECK="1")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", f"ramekin[{extra}]=={wanted}"]
        code = subprocess.run(pip, env=env, check=False).returncode
        if code:
            mark = os.environ["RAMEKIN_JOB_MARK"]
            sys.stdout.write(f"\n{mark}:install:{mark}\n")
            sys.exit(code if code > 0 else 1)
        os.environ.update(token)
        # Anew, since what was installed may lie where this process has not looked.
        os.execv(sys.executable, [sys.executable, "-m", "ramekin.jobs.inside"])  # noqa: S606 - no shell is wanted
    runpy.run_module("ramekin.jobs.inside", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    boot()
