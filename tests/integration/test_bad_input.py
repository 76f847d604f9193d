"""Whatever is wrong with its input, `ramekin` says so in two lines, with the right exit code, and writes nothing."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.checkpoint.hostile_headers import HOSTILE
from tests.integration import bad_requests, bad_sources
from tests.integration.bad_requests import PUBLISH
from tests.integration.bad_sources import PLAN, Case
from tests.integration.conftest import Done
from tests.integration.scenes import Scene, Stage, assert_calm, assert_two_lines_each, stage
from tests.manifest.wrong_manifests import FILES, KEYS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("bad")) as made:
        yield made


@pytest.fixture
def scene(shared: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    work = tmp_path / "work"
    work.mkdir()
    name = request.node.originalname.replace("_", "-")
    return Scene(shared, work, case.id if isinstance(case, Case) else name)


def assert_refused(case: Case, scene: Scene, done: Done, *, as_json: bool) -> None:
    assert done.code == case.code, f"{done.out}\n{done.err}"
    assert_calm(done)
    errors = assert_two_lines_each(done)
    for words in case.says:
        assert words in done.err, done.err
    if as_json:
        _assert_one_object(case, json.loads(done.out), errors)
    elif case.shows:
        assert case.shows in done.out
    else:
        assert done.out == ""


def _assert_one_object(case: Case, data: Any, errors: list[str]) -> None:
    assert isinstance(data, dict)
    if "error" in data:
        assert data["error"]["exit_code"] == case.code
        assert len(data["error"]["problems"]) >= len(errors) - 1
    else:
        assert case.shows
        assert data["action"] == "refuse" if "action" in data else data["ok"] is False


@pytest.mark.parametrize("case", [*bad_sources.CASES, *bad_requests.CASES], ids=lambda case: case.id)
def test_refused(case: Case, scene: Scene) -> None:
    case.setup(scene)
    before, refs = scene.contents(), scene.stage.refs()
    scene.hub.log.clear()
    for as_json in (False,) if case.fetches else (False, True):
        arguments = (*case.command, *["--json"] * as_json)
        done = scene.ramekin(*arguments, fresh=case.fresh and not as_json)
        assert_refused(case, scene, done, as_json=as_json)
        after = scene.contents()
        assert {path for path in after if after[path] != before.get(path, b"")} <= set(case.writes)
        assert before.keys() <= after.keys()
    assert scene.stage.refs() == refs
    if not case.fetches:
        read = scene.hub.log.requests("GET", r"/resolve/.*\.safetensors")
        assert all(one.range and int(one.range.partition("-")[2]) < 100_000 for one in read), "weights were fetched"
    assert not [one for one in scene.hub.log.requests() if one.method not in {"GET", "HEAD"} and one.status < 400]


def test_every_hostile_header(scene: Scene) -> None:
    """As many experts as a merge may have, all of them hostile: each is told of, with a hint of its own."""
    lies = [*HOSTILE.values()]
    for number, (content, _) in enumerate(lies):
        scene.local(f"e{number}", {"model.safetensors": content})
    before = scene.contents().keys()
    for numbers in (range(first, min(first + 15, len(lies))) for first in range(0, len(lies), 15)):
        experts = "".join(f"  e{number}: ./e{number}\n" for number in numbers)
        rest = "method:\n  name: ram\noutput:\n  repo: demo/none\n"
        scene.write("merge.yaml", f"version: 1\nbase: demo/base\nexperts:\n{experts}{rest}")
        done = scene.ramekin("plan", "merge.yaml")
        assert done.code == 6, done.err
        assert_calm(done)
        errors = assert_two_lines_each(done)
        for number in numbers:
            assert any(f"./e{number}: " in error and lies[number][1] in error for error in errors), (number, done.err)
    assert scene.contents().keys() == {*before, "merge.yaml"}


def test_every_wrong_manifest(scene: Scene) -> None:
    for wrong in (*FILES, *KEYS):
        scene.write("merge.yaml", wrong.content)
        done = scene.ramekin("plan", "merge.yaml")
        assert done.code == 2, wrong.name
        assert done.out == ""
        assert_calm(done)
        errors = assert_two_lines_each(done)
        assert any(f"merge.yaml:{wrong.line}: " in error for error in errors), (wrong.name, errors)
    assert scene.contents().keys() == {"merge.yaml"}


CARDS = {
    "no UTF-8": b"---\nlicense: \xff\xfe\n---\n",
    "binary": bytes(range(256)) * 100,
    "5 MB": b"---\nlicense: apache-2.0\n---\n" + b"x" * 5_000_000,
    "5 MB of front matter": b"---\nlicense: apache-2.0\n" + b"x: y\n" * 1_000_000 + b"---\n",
    "no end": b"---\nlicense: apache-2.0\n",
    "a list": b"---\n- license\n---\n",
    "integer keys": b"---\n1: 2\n3.5: x\nlicense: apache-2.0\n---\n",
    "ignore_metadata_errors": b"---\nignore_metadata_errors: true\nmodel-index: 7\nlicense: apache-2.0\n---\n",
    "aliases that explode": b"---\na: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9))
    + b"---\n",
    "python": b"---\nlicense: !!python/object/apply:os.system [id]\n---\n",
    "nested without end": b"---\nlicense: " + b"[" * 30_000 + b"\n---\n",
    "a licence of an attacker": b'---\nlicense: "\\e[31m\\n::error::x"\nlicense_name: "\\e[31m##[error]"\n---\n',
    "an own parent": b"---\nbase_model: [demo/base, demo/coder, ../../x, 7, null]\nlicense: apache-2.0\n---\n",
    "parents without end": b"---\nbase_model:\n" + b"".join(b"- demo/p%d\n" % n for n in range(5000)) + b"---\n",
    "values of other types": b"---\nlicense: 7\nlanguage: {a: b}\ndatasets: 2020-01-01\npipeline_tag: [x]\n---\n",
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_hostile_card_is_no_reason_to_fail(scene: Scene, card: bytes, request: pytest.FixtureRequest) -> None:
    scene.name = f"card-{[*CARDS.values()].index(card)}"
    scene.expert({"README.md": card})
    done = scene.ramekin("plan", "merge.yaml")
    assert done.code == 0, done.err
    assert done.err == ""
    assert_calm(done)
    lock = json.loads((scene.directory / "merge.lock").read_text())
    declared = lock["experts"]["coder"].get("card", {}).get("license")
    readable = card.startswith(b"---\n") and b"license: apache-2.0" in card and b"---\n" in card[4 : 1 << 16]
    assert declared == ("apache-2.0" if readable else None)
    data = scene.ramekin("plan", "merge.yaml", "--json").data
    assert data["action"] == "publish"


def test_no_command_at_all_shows_the_help(scene: Scene) -> None:
    done = scene.ramekin()
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("Usage: ramekin ")


@pytest.mark.parametrize(
    "command", [("plan", "merge.yaml"), ("run", "merge.yaml"), ("publish", "merged")], ids=" ".join
)
def test_a_target_whose_report_is_hostile(scene: Scene, command: tuple[str, ...]) -> None:
    """What the target says of itself decides at most that it is no merge of ours, and is never printed raw."""
    report = scene.merged()
    evil = bad_sources.EVIL
    report["base"] = {"source": evil, "commit": evil, "license": evil}
    report["experts"] = [{"name": evil, "source": evil * 100, "commit": evil}]
    report["ramekin"], report["notes"], report["texts"] = evil, [evil], evil
    report["output"]["repo"] = evil
    scene.name = f"target-{command[0]}"
    target = scene.published({"ramekin/report.json": json.dumps(report).encode()})
    scene.manifest(repo=target)
    scene.write("merged/ramekin/merge.yaml", (scene.directory / "merge.yaml").read_text())
    done = scene.ramekin(*command)
    assert_calm(done)
    assert done.code in {0, 6}
    if done.code:
        assert_two_lines_each(done)
    elif command[0] == "plan":
        assert "\\x1b[31mred" in done.out


class Portal(http.server.BaseHTTPRequestHandler):
    """Answers everything alike, as the log-in page of a network does."""

    body: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


ANSWERS = (
    b"<html>log in</html>",
    b"",
    b"\xff",
    b"{}",
    b"[]",
    b"7",
    b"null",
    b'{"error": "x"}',
    b'[{"type": "file"}]',
    b'{"id": 7, "sha": "../../x"}',
    b'{"id": "demo/base", "sha": "' + b"0" * 40 + b'", "private": false, "gated": false}',
    b'{"id": "demo/\\u001b[31m", "sha": "\\u001b[31m", "private": "x", "gated": []}',
)


@pytest.mark.parametrize("command", [PLAN, ("verify", "demo/x"), PUBLISH], ids=" ".join)
def test_whatever_answers_instead_of_a_hub(scene: Scene, command: tuple[str, ...]) -> None:
    scene.manifest()
    scene.merged()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scene.env["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        before = scene.contents()
        for body in ANSWERS:
            Portal.body = body
            done = scene.ramekin(*command)
            assert done.code == 4, (body, done.err)
            assert_calm(done)
            assert_two_lines_each(done)
            assert done.out == ""
        assert scene.contents() == before
        server.shutdown()
