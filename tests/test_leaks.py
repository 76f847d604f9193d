"""The look-out for tokens finds them, wherever they were left."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import LEAST, PART, PIECE, ROOT, SMALL, Watch

TOKEN = "hf_only_of_these_tests_0123456789"


@pytest.fixture
def watch() -> Watch:
    made = Watch()
    made.token(TOKEN, "a token")
    return made


@pytest.mark.parametrize(
    "text",
    [
        f"error: {TOKEN} is wrong",
        f'{{"token": "{TOKEN}"}}',
        f"{TOKEN[:PIECE]}…",
        f"…{TOKEN[-PIECE:]}",
        f"x{TOKEN}x".encode(),
    ],
)
def test_a_token_in_a_text(watch: Watch, text: str | bytes) -> None:
    watch.text("stdout", "nothing", text)
    assert watch.found() == ["stdout: a token"]
    assert watch.found() == []  # told once


def test_what_is_no_token(watch: Watch) -> None:
    watch.token("hf_x" + "y" * (LEAST - 5))
    watch.text("stdout", "hf_xyyyyy hf_only_of hf_ ***", None, b"")
    assert watch.found() == []


def test_tokens_in_files(watch: Watch, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    for path in ("work/merged/ramekin/report.json", "work/README.md", "home/ramekin/runs/journal"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"Bearer {TOKEN}")
    (work / TOKEN).touch()
    (work / "weights").write_bytes(bytes(SMALL) + TOKEN.encode())
    with (work / "hole").open("wb") as file:
        file.truncate(5 * PART)
        file.seek(0, 2)
        file.write(TOKEN.encode())
    (work / "clean").write_text("hf_only_of_others")
    (work / "link").symlink_to(work / "README.md")
    watch.process({"HF_HOME": str(home)}, work)
    named = {leak.partition(":")[0].removeprefix(f"{tmp_path}/") for leak in watch.found()}
    expected = {"merged/ramekin/report.json", "README.md", TOKEN, "weights", "hole"}
    assert named == {f"work/{name}" for name in expected} | {"home/ramekin/runs/journal"}
    watch.process({}, None, ["merge.yaml", str(work)])
    assert watch.found() == []  # nothing has changed
    (work / "clean").write_text(f"hf_only_of_others, {TOKEN}")
    watch.process({}, work)
    assert [leak.partition(":")[0] for leak in watch.found()] == [str(work / "clean")]


def test_a_login_of_the_tests_own(tmp_path: Path) -> None:
    watch = Watch()
    login = tmp_path / "token"
    login.write_text(TOKEN)
    watch.process({"HF_HOME": str(tmp_path)}, None)
    assert watch.found() == []
    (tmp_path / "copy").write_text(TOKEN)
    watch.process({"HF_HOME": str(tmp_path)}, None)
    assert [leak.partition(":")[0] for leak in watch.found()] == [str(tmp_path / "copy")]


def test_a_login_that_a_process_wrote(watch: Watch, tmp_path: Path) -> None:
    watch.process({"HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}, None)
    (tmp_path / "token").write_text(TOKEN)
    assert len(watch.found()) == 1


def test_every_variable_that_holds_one(tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        watch = Watch()
        watch.process({name: TOKEN}, None)
        watch.text("stderr", TOKEN)
        assert watch.found() == [f"stderr: {name}"]


def test_the_checkout_is_not_looked_at(watch: Watch) -> None:
    watch.process({"HF_HOME": str(ROOT)}, ROOT.parent, ["/", str(ROOT / "tests")])
    assert watch._roots == set()


SUITE = f'''
import os, subprocess, sys
from ramekin.hub import Job, serve

def child(code, **env):
    subprocess.run([sys.executable, "-S", "-c", code], env={{"HF_TOKEN": "{TOKEN}"}} | env, cwd=env.get("PWD"),
                   capture_output=True, check=True)

def test_printed():
    child("import os; print(os.environ['HF_TOKEN'])")

def test_on_stderr():
    child("import os, sys; print(os.environ['HF_TOKEN'][:15], file=sys.stderr)")

def test_written(tmp_path):
    child("open('README.md', 'w').write('{TOKEN}')", PWD=str(tmp_path))

def test_published(tmp_path):
    with serve(tmp_path) as hub:
        hub.store.create_repo("org/model")
        hub.store.commit("org/model", {{"README.md": hub.token}})

def test_titled(tmp_path):
    with serve(tmp_path) as hub:
        hub.store.create_repo("org/model")
        hub.store.commit("org/model", {{"README.md": "x"}}, message=f"merge {{hub.token}}")

def test_proved(tmp_path):
    with serve(tmp_path) as hub:
        child("import os; print(os.environ['PROOF'])", PROOF=hub.trust.id_token())

def test_exchanged(tmp_path):
    with serve(tmp_path) as hub:
        hub.trust.add("org/model")
        child("import os; print(os.environ['GIVEN'])", GIVEN=hub.trust.exchange(hub.trust.id_token(), "org/model"))

def test_silent(tmp_path):
    with serve(tmp_path) as hub:
        hub.store.create_repo("org/model")
        hub.store.commit("org/model", {{"README.md": "x"}})
    child("print('done')", PWD=str(tmp_path))
'''


def test_the_test_fails_in_which_a_token_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = ["-p", "tests.leaks", "-p", "no:cacheprovider", "-p", "no:randomly", "-q", "-rA", "-c", "/dev/null"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "", "PYTHONPATH": str(ROOT)}
    )
    outcomes = {name: what for what, name in re.findall(r"^(FAILED|PASSED) \S+::(\w+)", done.stdout, re.MULTILINE)}
    assert outcomes.pop("test_silent") == "PASSED", done.stdout
    assert [*outcomes.values()] == ["FAILED"] * 7, done.stdout
    assert done.stdout.count("a token is where none belongs:") == 7, done.stdout
    for what in ("README.md: HF_TOKEN", "blobs/", "pull request: demo's token", ": an ID token", ": [OIDC]'s token"):
        assert what in done.stdout
