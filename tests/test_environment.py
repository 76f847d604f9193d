"""The environment, and that tokens do not show."""

import os
import traceback

import pytest

from ramekin.cli.main import main
from ramekin.environment import Environment, Processes, Secret, withdraw_tokens

TOKEN = "hf_" + "a" * 30


def test_a_secret_never_shows_by_itself() -> None:
    secret = Secret(TOKEN)
    environment = Environment.read({"HF_TOKEN": TOKEN})
    assert environment.token == secret
    assert environment.token.reveal() == TOKEN
    for text in (repr(secret), str(secret), f"{secret}", f"{environment!r}", f"{environment}"):
        assert TOKEN not in text
    assert TOKEN not in "".join(traceback.format_exception(ValueError(environment)))


def test_tokens_are_taken_out() -> None:
    variables = {"HF_TOKEN": TOKEN, "HUGGING_FACE_HUB_TOKEN": TOKEN, "HOME": "/home/me"}
    variables |= {"HF_OIDC_ID_TOKEN": TOKEN, "HF_OIDC_RESOURCE": "org/model"}
    variables |= {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN, "ACTIONS_ID_TOKEN_REQUEST_URL": "https://x"}
    withdraw_tokens(variables)
    assert variables == {"HOME": "/home/me"}


def test_a_command_runs_without_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("HF_TOKEN", "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    assert main(["methods"]) == 0
    assert capsys.readouterr().out
    assert TOKEN not in os.environ.values()


def test_a_token_reads_beside_trusted_publishing() -> None:
    environment = Environment.read({"HF_TOKEN": TOKEN, "HF_OIDC_RESOURCE": "org/model"})
    assert environment.token == Secret(TOKEN)
    assert (environment.identity.target, environment.identity.reader) == ("org/model", None)


def test_what_proves_who_a_job_is() -> None:
    github = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token"}
    assert not Environment.read(github).identity.can_be_proved
    assert not Environment.read({"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": "x"}).identity.can_be_proved
    job = Environment.read(github | {"GITHUB_ACTIONS": "true", "HF_OIDC_ID_TOKEN": " given \n"})
    assert job.identity.can_be_proved
    assert job.secrets == ("given", "request-token")
    for text in (repr(job), str(job.identity)):
        assert "given" not in text
        assert "request-token" not in text
    named = Environment.read({"HF_OIDC_RESOURCE": "anna"}).identity
    assert (named.target, named.reader) == (None, "anna")
    both = Environment.read({"HF_OIDC_RESOURCE": "org/model", "RAMEKIN_OIDC_READER": "anna"}).identity
    assert (both.target, both.reader) == ("org/model", "anna")


def test_values_mean_what_they_mean_elsewhere() -> None:
    plain = Environment.read({})
    assert plain.endpoint == "https://huggingface.co"
    assert (plain.offline, plain.ci, plain.github_actions) == (False, False, False)
    assert plain.color
    told = Environment.read(
        {
            "HF_ENDPOINT": "http://127.0.0.1:1/",
            "HF_HOME": "/data/hf",
            "HF_HUB_OFFLINE": "1",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "NO_COLOR": "1",
            "HUGGING_FACE_HUB_TOKEN": f" {TOKEN}\n",
        }
    )
    assert told.endpoint == "http://127.0.0.1:1"
    assert str(told.state) == "/data/hf/ramekin"
    assert told.offline
    assert told.ci
    assert told.github_actions
    assert not told.color
    assert told.token is not None
    assert told.token.reveal() == TOKEN
    assert Environment.read({"XDG_CACHE_HOME": "/c"}).home.parts == ("/", "c", "huggingface")
    assert not Environment.read({"CI": "false"}).ci


def test_what_a_launcher_says() -> None:
    torchrun = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert Environment.read(torchrun).processes == Processes(rank=3, count=4, place=1, neighbours=2)
    mpi = {f"OMPI_COMM_WORLD_{name}": value for name, value in torchrun.items()}
    assert Environment.read(mpi).processes == Processes()  # Open MPI has other names for two of them
    mpi = {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}
    assert Environment.read({f"OMPI_COMM_WORLD_{name}": value for name, value in mpi.items()}).processes.count == 2


def test_a_launcher_that_makes_no_sense_is_none() -> None:
    torchrun = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in [("RANK", "2"), ("WORLD_SIZE", "two"), ("LOCAL_WORLD_SIZE", "0"), ("LOCAL_RANK", "-1")]:
        assert Environment.read(torchrun | {name: value}).processes == Processes()
    # A cluster names the size of its job to processes that no launcher has started.
    assert Environment.read({"RANK": "0", "WORLD_SIZE": "2"}).processes == Processes()


def test_a_passphrase_is_a_secret_that_is_withdrawn() -> None:
    variables = {"RAMEKIN_KEY_PASSPHRASE": " a horse ", "HOME": "/home/me"}
    environment = Environment.read(variables)
    assert environment.passphrase is not None
    assert environment.passphrase.reveal() == " a horse "
    assert " a horse " in environment.secrets
    assert "horse" not in repr(environment)
    withdraw_tokens(variables)
    assert variables == {"HOME": "/home/me"}
