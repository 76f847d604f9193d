"""Variables that are taken out are not to be seen from without either, by whatever process."""

import os
import subprocess
import sys

import pytest

_ACTION = "from ramekin.action.settings import hand_over; hand_over(os.environ); withdraw_tokens(os.environ)"
_CHILD = """
import os, subprocess
from ramekin.environment import withdraw_tokens
{withdraw}
print(subprocess.run(["cat", f"/proc/{{os.getpid()}}/environ"], capture_output=True, check=True).stdout)
"""

_JOB = """
import os, time
from ramekin.jobs import inside

def command(_):
    for _ in range(500):
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:
            text = file.read()
        if b"a-token" not in text:
            break
        time.sleep(0.02)
    os.write(1, text)
    os._exit(0)

inside._command = command
print(inside._run([]))
"""


@pytest.mark.parametrize(
    ("withdraw", "name"),
    [
        ("withdraw_tokens()", "HF_TOKEN"),
        ("withdraw_tokens()", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        (_ACTION, "RAMEKIN_INPUT_HF_TOKEN"),
        (_ACTION, "GITHUB_TOKEN"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_child_does_not_find_them_in_its_parent(withdraw: str, name: str) -> None:
    env = os.environ | {name: "a-token-of-the-tests", "BEFORE": "stays", "zz": "stays too"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD.format(withdraw=withdraw)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"{name}=" in done.stdout
    assert "a-token-of-the-tests" not in done.stdout
    assert "BEFORE=stays" in done.stdout
    assert "zz=stays too" in done.stdout


def test_what_is_still_there_is_left_alone() -> None:
    script = "import os; from ramekin.concealing import conceal; conceal(['KEPT', 'ABSENT']); print(os.environ['KEPT'])"
    env = os.environ | {"KEPT": "as it was"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script + "; os.system('echo $KEPT')"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count("as it was") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_nor_does_a_command_in_a_job_on_the_hub_in_what_waits_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _JOB],
        env=os.environ | {"HF_TOKEN": "a-token-of-the-tests"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "HF_TOKEN=" in done.stdout
    assert "a-token-of-the-tests" not in done.stdout
