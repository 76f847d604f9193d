"""The webhooks that exist, asked for by the Hub's unmodified client, against those that the manifests need."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from ramekin.cli.main import main
from ramekin.environment import Environment
from ramekin.hub import DEMO, Hub, User, serve
from ramekin.terminal import Terminal
from ramekin.webhook.checking import Coverage, look_at_webhooks
from ramekin.webhook.watched import what_to_watch
from ramekin.workbench import Workbench
from tests.webhook.sent import SECRET, manifest

OTHER = User("other", "hf_other_token_of_the_tests")
URL = "https://receiver.example/"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub"), users=(DEMO, OTHER)) as hub:
        yield hub


@pytest.fixture
def api(running: Hub) -> Iterator[HfApi]:
    api = HfApi(endpoint=running.url, token=running.token)
    yield api
    for webhook in api.list_webhooks():
        api.delete_webhook(webhook.id)


def look(hub: Hub, directory: Path, url: str | None = None, **more: str) -> Coverage:
    bench = Workbench(Environment.read(hub.env(directory / "home") | more), Terminal(color=False))
    return look_at_webhooks(bench, what_to_watch([manifest(directory)]), url)


def create(api: HfApi, *names: str, **more: Any) -> str:
    watched = [{"type": "org" if "/" not in name else "model", "name": name} for name in names]
    given: dict[str, Any] = {"url": URL, "domains": ["repo"], "secret": SECRET} | more
    return api.create_webhook(watched=watched, **given).id  # type: ignore[arg-type]


def test_there_is_none(running: Hub, tmp_path: Path) -> None:
    found = look(running, tmp_path)
    assert found.webhooks == ()
    assert [source.name for source in found.missing] == ["Org/Tool", "org/base", "org/coder"]
    assert not found.complete


def test_a_whole_organization_is_watched(running: Hub, api: HfApi, tmp_path: Path) -> None:
    made = create(api, "ORG")
    found = look(running, tmp_path, RAMEKIN_WEBHOOK_SECRET=SECRET)
    assert found.complete
    assert [(each.id, each.flaws) for each in found.webhooks] == [(made, ())]
    # Another's are not to be seen, as ours are not by them.
    assert HfApi(endpoint=running.url, token=OTHER.token).list_webhooks() == []


def test_what_is_missing_is_named(running: Hub, api: HfApi, tmp_path: Path) -> None:
    create(api, "org/coder", "someone/else")
    create(api, "someone/else")
    found = look(running, tmp_path)
    assert len(found.webhooks) == 1
    assert [source.name for source in found.missing] == ["Org/Tool", "org/base"]


@pytest.mark.parametrize(
    ("more", "flaw"),
    [
        ({"domains": ["discussion"]}, "it is not told of changes of repositories"),
        ({"secret": None}, "it has no secret"),
        ({"secret": "another-" + SECRET}, "it has another secret than RAMEKIN_WEBHOOK_SECRET"),
    ],
)
def test_a_webhook_with_a_flaw_watches_nothing(
    more: dict[str, Any], flaw: str, running: Hub, api: HfApi, tmp_path: Path
) -> None:
    create(api, "org", **more)
    found = look(running, tmp_path, RAMEKIN_WEBHOOK_SECRET=SECRET)
    assert [len(each.flaws) for each in found.webhooks] == [1]
    assert found.webhooks[0].flaws[0].startswith(flaw)
    assert len(found.missing) == 3


def test_a_disabled_one_watches_nothing(running: Hub, api: HfApi, tmp_path: Path) -> None:
    made = create(api, "org")
    api.disable_webhook(made)
    assert look(running, tmp_path).webhooks[0].flaws == ("it is disabled",)
    api.enable_webhook(made)
    assert look(running, tmp_path).complete


def test_only_those_that_send_there_count(running: Hub, api: HfApi, tmp_path: Path) -> None:
    create(api, "org", url="https://elsewhere.example/")
    assert look(running, tmp_path).complete
    assert look(running, tmp_path, URL).webhooks == ()
    create(api, "org")
    assert look(running, tmp_path, URL.rstrip("/")).complete


@pytest.fixture
def command(running: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    manifest(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in running.env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL", "RAMEKIN_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_command_tells_what_to_set_up(api: HfApi, command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(api, "org/coder", secret="never-to-be-seen-by-anybody")
    assert main(["webhook", "--url", URL]) == 0
    out = capsys.readouterr().out
    for wanted in ("/settings/webhooks)", "model    Org/Tool", "model    org/base", URL, "(repo), and no others"):
        assert wanted in out
    assert "Nothing that works watches: model Org/Tool, model org/base" in out
    assert "never-to-be-seen" not in out


def test_the_command_for_programs(
    api: HfApi, command: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["webhook", "merge.yaml", "--json", "--exit-code"]) == 1
    assert json.loads(capsys.readouterr().out)["checked"]["webhooks"] == []
    made = create(api, "org")
    monkeypatch.setenv("HF_TOKEN", DEMO.token)  # it was taken out of the environment
    assert main(["webhook", "merge.yaml", "--json", "--exit-code"]) == 0
    data = json.loads(capsys.readouterr().out)
    refs = ["refs/heads/main", "refs/tags/main"]
    assert data["watch"][1] == {"type": "model", "name": "org/base", "refs": refs}
    assert data["event"] == "ramekin-update"
    assert data["checked"] == {"complete": True, "missing": [], "webhooks": [{"id": made, "url": URL, "flaws": []}]}


def test_without_a_token_nobody_looks(
    command: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("RAMEKIN_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_of_the_tests")
    assert main(["webhook"]) == 0
    assert "was not looked at: set HF_TOKEN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--url", "hooks.my-org.example"], "`hooks.my-org.example` is no address"),
        (["--repository", "my-org/agents"], "--repository is about the receiver"),
        (["--serve", "127.0.0.1:0", "--url", URL], "--url checks webhooks"),
        (["--serve", "127.0.0.1:0", "--exit-code"], "--exit-code checks webhooks"),
    ],
)
def test_options_that_mean_nothing_together(
    arguments: list[str], what: str, command: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["webhook", *arguments]) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "env", "what"),
    [
        (["--serve", "8787"], {}, "--serve takes HOST:PORT"),
        (["--serve", "127.0.0.1:99999"], {}, "--serve takes HOST:PORT"),
        (["--serve", "127.0.0.1:0"], {}, "RAMEKIN_WEBHOOK_SECRET is not set, or shorter"),
        (
            ["--serve", "127.0.0.1:0"],
            {"RAMEKIN_WEBHOOK_SECRET": "short"},
            "RAMEKIN_WEBHOOK_SECRET is not set, or shorter",
        ),
        (["--serve", "127.0.0.1:0"], {"RAMEKIN_WEBHOOK_SECRET": SECRET}, "GITHUB_TOKEN is not set"),
        (
            ["--serve", "127.0.0.1:0"],
            {"RAMEKIN_WEBHOOK_SECRET": SECRET, "GITHUB_TOKEN": "ghp_of_the_tests"},
            "nobody knows whose workflow to start",
        ),
        (
            ["--serve", "127.0.0.1:0", "--repository", "a/b/c"],
            {"RAMEKIN_WEBHOOK_SECRET": SECRET, "GITHUB_TOKEN": "ghp_of_the_tests"},
            "`a/b/c` names no repository",
        ),
        (
            ["--serve", "127.0.0.1:0", "--repository", "a/b"],
            {"RAMEKIN_WEBHOOK_SECRET": SECRET, "GITHUB_TOKEN": "ghp_of_the_tests\nX: y"},
            "GITHUB_TOKEN has characters that no token has",
        ),
    ],
)
def test_a_receiver_that_could_do_nothing_does_not_start(
    arguments: list[str],
    env: dict[str, str],
    what: str,
    command: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main(["webhook", *arguments]) == 2
    err = capsys.readouterr().err
    assert what in err
    assert "ghp_of_the_tests" not in err
