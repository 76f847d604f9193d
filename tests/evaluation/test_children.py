"""Child processes: what they see, what is told of them, and that none is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ramekin.environment import tokenless_environment
from ramekin.errors import UsageError
from ramekin.evaluation.children import Surroundings, run

TETHER = Path(run.__code__.co_filename).with_name("tether.py")
TOKENS = ("hf_write_token_of_the_tests", "ghs_token_of_the_tests")


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path, {"PATH": os.environ["PATH"]})


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_printed_is_kept_or_told(around: Surroundings) -> None:
    told: list[str] = []
    script = """echo to people; echo '{"a": 0.5}'; echo "  1,"; echo aside >&2; printf 'red\\033[31m' >&2; exit 3"""
    ended = run(shell(script), around, told.append, timeout=60, most=1000)
    assert (ended.code, ended.out) == (3, b'to people\n{"a": 0.5}\n  1,\n')
    assert sorted(told) == ["aside", "to people"], "JSON, and a line that never ended, are not told"


def test_output_is_bounded(around: Surroundings) -> None:
    told: list[str] = []
    script = 'yes "a long line" | head -n 9000 >&2; yes x | head -c 300000; echo end'
    ended = run(shell(script), around, told.append, timeout=60, most=1000)
    assert ended.code == 0
    assert len(ended.out) == 1000
    assert ended.out.endswith(b"x\nend\n")
    assert told.count("a long line") == 2000
    assert told.count("what follows is not shown") == 2, "once for either output"


def test_a_line_is_shortened_and_harmless(around: Surroundings) -> None:
    told: list[str] = []
    run(shell(r"printf '%01000d\033[31m\n' 7 >&2"), around, told.append, timeout=60, most=10)
    (line,) = told
    assert len(line) <= 400
    assert "\x1b" not in line


def test_a_bar_that_is_redrawn_is_not_told_each_time(around: Surroundings) -> None:
    told: list[str] = []
    script = r"for n in 1 2 3 4 5 6 7 8 9; do printf '\r%s0%%' $n >&2; done; printf '\r100%%\n' >&2"
    run(shell(script), around, told.append, timeout=60, most=10)
    assert told == ["100%"]


def test_it_works_in_its_directory_with_its_environment_and_without_input(around: Surroundings) -> None:
    (around.directory / "here").touch()
    ended = run(shell("ls; env; cat"), around.given(RAMEKIN_MODEL_NAME="base"), print, timeout=60, most=9999)
    lines = ended.out.decode().splitlines()
    assert lines[0] == "here"
    assert "RAMEKIN_MODEL_NAME=base" in lines
    assert {line.partition("=")[0] for line in lines[1:]} <= {
        "PATH",
        "RAMEKIN_MODEL_NAME",
        "PWD",
        "_",
        "OLDPWD",
        "SHLVL",
        "LC_CTYPE",  # python sets it where no locale is
    }


def test_one_that_takes_too_long_goes_with_all_that_it_has_started(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ramekin.evaluation.children._GRACE", 0.2)
    script = "trap '' TERM; sleep 600 & echo $! > inner; echo $$ > outer; echo begun; wait; sleep 600"
    began = time.monotonic()
    ended = run(shell(script), around, print, timeout=0.5, most=10)
    assert (ended.code, ended.out) == (None, b"begun\n")
    assert time.monotonic() - began < 20
    for name in ("inner", "outer"):
        pid = int((around.directory / name).read_text())
        wait_for(lambda pid=pid: gone(pid))


def test_one_that_ends_leaves_nothing_behind(around: Surroundings) -> None:
    ended = run(shell("sleep 600 & echo $! > inner; echo done"), around, print, timeout=60, most=10)
    assert (ended.code, ended.out) == (0, b"done\n")
    wait_for(lambda: gone(int((around.directory / "inner").read_text())))


def test_an_interruption_ends_it(around: Surroundings) -> None:
    def interrupt(line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    # Whoever is started in the background of a shell is born ignoring it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(shell("echo $$ > outer; echo now >&2; exec sleep 600"), around, interrupt, timeout=60, most=10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert gone(int((around.directory / "outer").read_text()))


def test_it_ends_with_a_parent_that_is_killed(around: Surroundings) -> None:
    script = (
        f"import os, subprocess, time; subprocess.Popen([{sys.executable!r}, {str(TETHER)!r}, str(os.getpid()), "
        "'sh', '-c', 'echo $$ > child; exec sleep 600']); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=around.directory) as parent:
        child = around.directory / "child"
        wait_for(lambda: child.exists() and child.read_text().endswith("\n"))
        assert not gone(int(child.read_text()))
        parent.kill()
    wait_for(lambda: gone(int(child.read_text())))


def test_a_program_that_is_not_there(around: Surroundings) -> None:
    told: list[str] = []
    ended = run(["no-such-program"], around, told.append, timeout=60, most=10)
    assert (ended.code, told) == (127, ["no-such-program: No such file or directory"])


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`sh` cannot be started"):
        run(["sh"], Surroundings(tmp_path / "nowhere", {}), print, timeout=60, most=10)


# What they see

KEPT = {
    "PATH": "/bin",
    "HF_HOME": "/cache",
    "HF_ENDPOINT": "http://127.0.0.1",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "GITHUB_SHA": "0" * 40,
    "GITHUB_ACTIONS": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "OPENAI_API_KEY": "the user's own business",
}
LEFT_OUT = {
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HF_API_TOKEN", "HF_TOKEN_PATH", "GITHUB_TOKEN",
    "GH_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_RUNTIME_TOKEN",
    "HF_OIDC_RESOURCE", "HF_OIDC_ID_TOKEN", "RAMEKIN_OIDC_READER", "RAMEKIN_KEY_PASSPHRASE", "INPUT_HF-TOKEN",
    "INPUT_GITHUB_TOKEN", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RANK", "WORLD_SIZE",
    "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK",
    "PMI_RANK", "ACCELERATE_MIXED_PRECISION",
}  # fmt: skip


def test_no_token_gets_through_under_any_name(tmp_path: Path) -> None:
    aliases = {"MY_TOKEN": TOKENS[0], "netrc": f"machine x password {TOKENS[1]}"}
    variables = KEPT | aliases | dict.fromkeys(LEFT_OUT, "value")
    found = tokenless_environment([*TOKENS, "short"], tmp_path / "none", variables)
    own = {"HF_TOKEN_PATH": str(tmp_path / "none"), "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    assert found == KEPT | own


def test_the_hubs_client_finds_no_token_in_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(TOKENS[0])
    variables = {name: value for name, value in os.environ.items() if name in {"PATH", "LD_LIBRARY_PATH"}}
    variables |= {"HF_HOME": str(home), "HF_TOKEN": TOKENS[0]}
    script = (
        "from huggingface_hub import get_token; from huggingface_hub.utils import build_hf_headers; "
        "print(bool(get_token()), 'authorization' in build_hf_headers())"
    )
    (tmp_path / "empty").mkdir()
    for environment, found in (
        (tokenless_environment(TOKENS, tmp_path / "empty" / "none", variables), "False False"),
        (variables, "True True"),
    ):
        around = Surroundings(tmp_path, environment)
        ended = run([sys.executable, "-c", script], around, print, timeout=60, most=999)
        assert ended.out.decode().strip() == found
