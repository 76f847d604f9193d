"""Trusted publishing end to end: who reads, who writes, and that no token goes where it does not belong."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from ramekin.environment import Environment
from ramekin.hub import DEMO, Fault, Job, User, app
from ramekin.hub.calls import Parts
from ramekin.hub.threads import all_threads
from ramekin.hub.trust import AUTHOR
from ramekin.publish.change import Change
from ramekin.publish.writer import HubWriter
from ramekin.trust.bearers import Publisher, for_writing
from tests.integration.bad_trust import ECHOES, FAILURES, MIRROR, WHO, Failure
from tests.integration.scenes import Stage, assert_calm, assert_two_lines_each, stage
from tests.integration.trusting import ANNA, READER, RESOURCE, Trusting, elsewhere, trusting

EXPERTS = "^/(api/models/)?demo/(base|coder|tool|memory)[/?]"
UPLOADS = "^/_upload/"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("trust")) as made:
        yield made


@pytest.fixture
def scene(shared: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Trusting:
    return trusting(shared, tmp_path / "work", re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-"))


def merged(scene: Trusting) -> Any:
    """A merged directory, and a new target that trusts the job; returns what the report says of its output."""
    output = scene.merged()["output"]
    if scene.hub.store.find(output["repo"]):
        scene.hub.store.delete_repo(output["repo"])
    scene.hub.store.create_repo(output["repo"], private=True)
    scene.hub.trust.add(output["repo"])
    return output


def about(scene: Trusting) -> str:
    """Requests about the target, but for those that carry their own permission."""
    return f"^/(api/models/)?{scene.target}(?![^?]*/_upload/)"


def test_a_job_publishes_without_any_secret(scene: Trusting) -> None:
    gated = scene.variant(name="gated", gated="manual")
    scene.hub.store.get(gated).set_info(granted=("anna",))
    scene.manifest(coder=gated)
    scene.hub.trust.add("anna")
    scene.has()
    scene.become(**{READER: "anna"})
    scene.alone()
    done = scene.ramekin("run", "merge.yaml")
    assert done.code == 0, done.err
    assert_calm(done)
    assert scene.senders(about(scene)) == {AUTHOR}
    assert scene.senders(EXPERTS) == {"anna"}
    assert scene.senders(f"^/(api/models/)?{gated}[/?]") == {"anna"}
    assert scene.senders(UPLOADS) == {None}
    assert scene.exchanges() == [200, 200]
    repository = scene.hub.store.get(scene.target)
    assert next(repository.history(repository.resolve("main"))).author == AUTHOR
    assert scene.ramekin("run", "merge.yaml").out.startswith("nothing to do")


def test_it_publishes_a_directory(scene: Trusting) -> None:
    target = merged(scene)["repo"]
    scene.become(**{RESOURCE: target})
    done = scene.ramekin("publish", "merged", "--json")
    assert done.code == 0, done.err
    assert scene.senders("") == {None, AUTHOR}
    assert scene.senders(f"^/(api/models/)?{target}") == {AUTHOR}
    assert scene.exchanges() == [200]
    assert json.loads((scene.directory / "merged/ramekin/report.json").read_text())["output"]["commit"]


def test_it_opens_a_pull_request(scene: Trusting) -> None:
    scene.has()
    scene.become()
    for expected in ("ready as a pull request", "nothing to do: the pull request is there already"):
        done = scene.ramekin("run", "merge.yaml", "--pr")
        assert done.code == 0, done.err
        assert done.out.startswith(expected)
        assert scene.senders(about(scene)) == {AUTHOR}
    assert [thread.author for thread in all_threads(scene.hub.store.get(scene.target))] == [AUTHOR]


def test_a_stored_token_reads_and_the_job_writes(scene: Trusting) -> None:
    scene.manifest(coder=scene.variant(name="private", private=True), more="  private: true\n")
    scene.has()
    scene.become(**{RESOURCE: scene.target, "HF_TOKEN": DEMO.token})
    done = scene.ramekin("run", "merge.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert scene.senders(about(scene)) == {AUTHOR}
    assert scene.senders(EXPERTS) == {DEMO.name}


def test_a_token_does_both_where_nothing_else_is_asked_for(scene: Trusting) -> None:
    scene.has()
    scene.become(HF_TOKEN=DEMO.token)
    assert scene.ramekin("run", "merge.yaml", "--dry-run").code == 0
    assert scene.exchanges() == []
    assert scene.senders(about(scene)) == {DEMO.name}


def test_a_stored_login_does_both_where_nothing_else_is_asked_for(scene: Trusting) -> None:
    scene.has()
    scene.become()
    login = scene.stage.home / "token"
    login.write_text(DEMO.token)
    try:
        done = scene.ramekin("run", "merge.yaml", "--dry-run")
    finally:
        login.unlink()
    assert done.code == 0, done.err
    assert scene.exchanges() == []
    assert scene.senders(about(scene)) == {DEMO.name}


@pytest.mark.parametrize("variable", [READER, RESOURCE])
def test_reading_without_a_target(scene: Trusting, variable: str) -> None:
    gated = scene.variant(gated="auto")
    scene.hub.store.get(gated).set_info(granted=("anna",))
    scene.manifest(coder=gated)
    scene.hub.trust.add("anna")
    scene.become(**{variable: "anna"})
    scene.alone()
    done = scene.ramekin("plan", "merge.yaml")
    assert done.code == 0, done.err
    assert scene.senders("^/(api/models/)?demo/") == {"anna"}
    assert scene.exchanges() == [200]


def test_who_is_named_to_read_as_does_not_write(scene: Trusting) -> None:
    scene.hub.trust.add("anna")
    scene.has()
    scene.become(**{RESOURCE: "anna", "HF_TOKEN": DEMO.token})
    done = scene.ramekin("run", "merge.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert scene.senders(about(scene)) == {DEMO.name}
    assert scene.senders(EXPERTS) == {"anna"}


@pytest.mark.parametrize("command", [("plan", "merge.yaml"), ("lock", "merge.yaml"), ("stats", "merge.yaml")])
def test_what_only_reads_asks_for_no_token_to_write(scene: Trusting, command: tuple[str, ...]) -> None:
    scene.become(**{RESOURCE: scene.target})
    assert scene.ramekin(*command).code == 0
    assert scene.hub.log.requests(path="^/(oauth|_github)/") == []
    assert scene.senders("") == {None}


def test_a_dry_run_looks_with_the_eyes_of_the_run(scene: Trusting) -> None:
    scene.has()
    scene.become()
    done = scene.ramekin("run", "merge.yaml", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert scene.exchanges() == [200]
    assert scene.ramekin("plan", "merge.yaml", "--json").code == 0


def test_only_the_card_is_published_anew(scene: Trusting) -> None:
    scene.has()
    scene.become()
    assert scene.ramekin("run", "merge.yaml").code == 0
    scene.manifest("card:\n  title: Another\n")
    scene.hub.log.clear()
    done = scene.ramekin("run", "merge.yaml")
    assert done.code == 0, done.err
    assert scene.senders(about(scene)) == {AUTHOR}
    assert not scene.hub.log.requests(path=UPLOADS)


def test_an_id_token_of_another_ci(scene: Trusting) -> None:
    scene.has()
    scene.env |= {"HF_TOKEN": "", "HF_OIDC_ID_TOKEN": scene.hub.trust.id_token(), RESOURCE: scene.target}
    done = scene.ramekin("run", "merge.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert scene.senders(about(scene)) == {AUTHOR}
    assert not scene.hub.log.requests(path="^/_github/")


def test_github_is_asked_at_its_whole_address_and_for_this_hub_alone(scene: Trusting) -> None:
    scene.has()
    scene.become()
    assert scene.ramekin("run", "merge.yaml", "--dry-run").code == 0
    (asked,) = scene.hub.log.requests("GET", "^/_github/")
    audience = scene.hub.url.replace(":", "%3A").replace("/", "%2F")
    assert asked.query == f"api-version=2.0&audience={audience}"


def test_a_token_that_ends_is_exchanged_anew(scene: Trusting) -> None:
    scene.hub.trust.lifetime = 4.0
    scene.has()
    scene.become()
    scene.alone()
    scene.hub.faults.add(Fault("delay", "^/demo/coder/resolve/[0-9a-f]+/tokenizer.json|/coder/.*/model", seconds=1.2))
    done = scene.ramekin("run", "merge.yaml")
    assert done.code == 0, done.err
    assert scene.exchanges().count(200) >= 2  # at the beginning, and again before it publishes
    assert 401 not in {request.status for request in scene.hub.log.requests()}


@pytest.mark.parametrize("path", ["^/oauth/token", "^/_github/"])
def test_patience_while_tokens_are_asked_for(scene: Trusting, path: str) -> None:
    scene.has()
    scene.become()
    scene.hub.faults.add(
        Fault("status", path, status=429, headers={"Retry-After": "0"}),
        Fault("status", path, status=503, every=2),
        Fault("drop-before", path, every=3),
        Fault("drop-after", path, every=4),
    )
    done = scene.ramekin("run", "merge.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert [request.status for request in scene.hub.log.requests(path=path)] == [429, 503, 0, 0, 200]


# Other hosts


def test_no_token_follows_a_download_to_another_host(scene: Trusting) -> None:
    scene.hub.trust.add("anna")
    scene.become(**{READER: "anna"})
    scene.alone()
    repository = scene.hub.store.get("demo/coder")
    entry = repository.tree(repository.resolve("main"))["model.safetensors"]
    with elsewhere() as other:
        other.files["/weights"] = scene.hub.store.blobs.read(entry.sha256)
        to = {"Location": f"{other.url}/weights"}
        path = "demo/coder/resolve/[0-9a-f]+/model.safetensors"
        # The header of the file was read in a range request; what is asked for whole is redirected.
        scene.hub.faults.add(Fault("status", path, status=302, headers=to, body="", times=None))
        done = scene.ramekin("merge", "merge.yaml", "--out", "merged")
    assert done.code == 0, done.err
    assert scene.senders("demo/coder/resolve/[0-9a-f]+/model") == {"anna"}
    assert other.heard
    assert all("authorization" not in headers for _, _, headers, _ in other.heard)


def test_no_token_follows_an_upload_to_another_host(scene: Trusting) -> None:
    weights = merged(scene)["files"]["model.safetensors"]
    scene.become()
    with elsewhere() as other:
        upload = {"upload": {"href": f"{other.url}/put", "header": {"authorization": "Basic of-the-server"}}}
        row = {"oid": weights["sha256"], "size": weights["size"], "actions": upload}
        answer = json.dumps({"transfer": "basic", "objects": [row]})
        scene.hub.faults.add(Fault("status", "info/lfs/objects/batch", status=200, body=answer))
        done = scene.ramekin("publish", "merged")
    assert done.code == 7, done.err
    assert "was not uploaded" in done.err
    ((method, path, headers, body),) = other.heard
    assert (method, path, len(body)) == ("PUT", "/put", weights["size"])
    assert "authorization" not in headers


@pytest.mark.parametrize("path", ["^/oauth/token", "^/_github/"])
def test_no_proof_follows_a_redirect(scene: Trusting, path: str) -> None:
    scene.has()
    scene.become()
    with elsewhere() as other:
        scene.hub.faults.add(Fault("status", path, status=307, headers={"Location": f"{other.url}/x"}, body=""))
        done = scene.ramekin("run", "merge.yaml")
    assert done.code == 7
    assert_two_lines_each(done)
    assert "it answered 307 (ask somewhere else)" in done.err
    assert other.heard == []


def test_xet_storage_gets_no_token() -> None:
    from huggingface_hub.utils._xet import xet_headers_without_auth

    headers = {"authorization": f"Bearer {ANNA.token}", "user-agent": "x"}
    assert xet_headers_without_auth(headers) == {"user-agent": "x"}


def test_debug_output_of_the_client_shows_no_token(scene: Trusting) -> None:
    # The client hides tokens in a body only where it ends before the thousandth character.
    scene.hub.trust.add("anna", Job(repository="octo/" + "m" * 1200))
    scene.become(Job(repository="octo/" + "m" * 1200), **{READER: "anna", "HF_DEBUG": "1"})
    done = scene.ramekin("lock", "merge.yaml", fresh=True)
    assert done.code == 0, done.err
    assert "Send: curl -X GET" in done.err
    assert "oauth/token" not in done.err


# Every way in which it can fail


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
def test_failures(scene: Trusting, failure: Failure) -> None:
    if failure.trusts:
        scene.has()
    failure.setup(scene)
    before = scene.hub.store.get(scene.target).refs() if scene.hub.store.find(scene.target) else None
    done = scene.ramekin(*failure.command)
    assert done.code == failure.code, f"{done.out}\n{done.err}"
    assert done.out == ""
    assert_calm(done)
    assert_two_lines_each(done)
    told = re.sub(r"(?:(?<=-one/)\S+)? at [0-9a-f]{40}:", " at COMMIT:", done.err)
    for label, line in (("error: ", failure.what), (" hint: ", failure.hint)):
        named = line.replace("@-one", f"demo/{scene.name}-one").replace("@", scene.target)
        whole, cut, _ = (label + named.replace("%HUB%", scene.hub.url)).partition("…")
        assert f"\n{whole}{'' if cut else chr(10)}" in f"\n{told}"
    found = scene.hub.store.find(scene.target)
    assert (found.refs() if found else None) == before


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_an_error_that_repeats_a_token(scene: Trusting, echo: Callable[[str], str]) -> None:
    proof = scene.hub.trust.id_token(audience="https://elsewhere.example")
    said = echo(proof)
    scene.env |= {"HF_TOKEN": DEMO.token, "HF_OIDC_ID_TOKEN": proof, RESOURCE: scene.target}
    body = json.dumps({"error": "invalid_grant", "error_description": f"bad: {said} (sorry)"})
    scene.hub.faults.add(Fault("status", "^/oauth/token", status=400, body=body))
    done = scene.ramekin("run", "merge.yaml", "--verbose")
    assert done.code == 7
    assert "Traceback" in done.err
    assert "bad: ***" in done.err
    for length in (12, 24, len(said)):
        assert said[:length] not in done.err
        assert said[-length:] not in done.err


def test_the_hub_itself_is_named_where_it_is_asked(scene: Trusting) -> None:
    scene.has()
    scene.become(HF_ENDPOINT=scene.hub.url.replace("127.0.0.1", "localhost"))
    done = scene.ramekin("run", "merge.yaml")
    assert done.code == 7
    assert f"{scene.target}: the Hub gave no token: {WHO} is not trusted there" in done.err
    assert done.err.rstrip().endswith(MIRROR)


# Uploads that outlast a token


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of the Hub's client
def test_every_large_file_goes_with_a_token_that_lasts(scene: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here every upload takes two thousand seconds, and a token lasts 3600."""
    scene.has()
    sent: list[str] = []
    real = app._viewer

    def viewer(hub: Parts, request: Request) -> User | None:
        sent.extend(request.headers.getlist("authorization"))
        return real(hub, request)

    monkeypatch.setattr(app, "_viewer", viewer)
    monkeypatch.setattr("ramekin.publish.writer._LARGE", 1000)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    for name, value in (scene.hub.env(scene.directory / "home", token="") | scene.hub.trust.environment()).items():
        monkeypatch.setenv(name, value)
    environment = Environment.read()
    bearer = for_writing(environment, lambda _: None)
    assert isinstance(bearer, Publisher)
    bearer._exchange.clock = lambda: 2000.0 * len(scene.hub.log.requests("PUT", UPLOADS))
    names = ("model-1.safetensors", "model-2.safetensors", "model-3.safetensors")
    for number, name in enumerate(names):
        scene.write(name, bytes([number]) * 2000)
    scene.write("config.json", "{}")
    files = {name: scene.directory / name for name in (*names, "config.json")}
    writer = HubWriter(environment, bearer)
    writer.aim(scene.target)
    state = writer.state(scene.target)
    assert state
    commit, _ = writer.commit(scene.target, Change("k", "t", "title", "", files, (), {}), parent=state.commit)
    repository = scene.hub.store.get(scene.target)
    assert repository.tree(repository.resolve(commit)).keys() >= files.keys()
    assert scene.exchanges() == [200] * 4
    tokens = [*dict.fromkeys(sent)]
    assert len(tokens) == 4
    assert sent == sorted(sent, key=tokens.index)  # none goes once there is another
