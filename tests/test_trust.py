"""Who sends which token, for how long, and what an ID token says; the exchange itself is tested against a Hub."""

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ramekin.environment import Environment, Secret
from ramekin.errors import PublishError, SourceError
from ramekin.text import CUT, masked, printable
from ramekin.trust.bearers import Holder, Publisher, Reader, for_reading, for_writing
from ramekin.trust.exchange import Exchange, Granted
from ramekin.trust.identity import IdToken
from tests.integration.bad_trust import FAILURES, Failure

ROOT = Path(__file__).parents[1]
TOKEN = "hf_" + "b" * 34
PROOF = {"HF_OIDC_ID_TOKEN": "e30.e30.e30"}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "asking",
}
NAMED = {"HF_OIDC_RESOURCE": "org/model"}
READ_AS = {"HF_OIDC_RESOURCE": "anna"}
READER = {"RAMEKIN_OIDC_READER": "anna"}
T = {"HF_TOKEN": TOKEN}


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramekin.trust.bearers._has_login", lambda: False)


@pytest.mark.parametrize(
    ("variables", "reads", "writes"),
    [
        ({}, Holder, Holder),
        (T, Holder, Holder),
        (GITHUB, Holder, Publisher),
        (PROOF, Holder, Publisher),
        (GITHUB | T, Holder, Holder),
        (PROOF | T, Holder, Holder),
        (GITHUB | NAMED, Holder, Publisher),
        (GITHUB | NAMED | T, Holder, Publisher),
        (NAMED, Holder, Publisher),
        (NAMED | T, Holder, Publisher),
        (GITHUB | READ_AS, Reader, Publisher),
        (GITHUB | READ_AS | T, Reader, Holder),
        (GITHUB | READER, Reader, Publisher),
        (GITHUB | READER | T, Reader, Holder),
        (GITHUB | READER | NAMED, Reader, Publisher),
        (GITHUB | READER | NAMED | T, Reader, Publisher),
        (READER, Reader, Holder),
        (READER | T, Reader, Holder),
        ({name: value for name, value in GITHUB.items() if name != "GITHUB_ACTIONS"}, Holder, Holder),
    ],
)
def test_who_is_sent_where(variables: dict[str, str], reads: type, writes: type) -> None:
    environment = Environment.read(variables)
    reader, writer = for_reading(environment, lambda _: None), for_writing(environment, lambda _: None)
    assert (type(reader), type(writer)) == (reads, writes)
    for bearer in (reader, writer):
        if isinstance(bearer, Holder):
            assert bearer.token() == variables.get("HF_TOKEN")


def test_a_login_comes_before_trusted_publishing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramekin.trust.bearers._has_login", lambda: True)
    assert isinstance(for_writing(Environment.read(GITHUB), lambda _: None), Holder)
    assert isinstance(for_writing(Environment.read(GITHUB | NAMED), lambda _: None), Publisher)


# For how long


@dataclass
class Exchanges(Exchange):
    """An exchange that needs no Hub: tokens have numbers, and time is told."""

    lifetime: float = 3600
    renewable: bool = True
    now: float = 0.0
    broken: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def clock(self) -> float:  # type: ignore[override]
        return self.now

    def token_for(self, resource: str, variable: str | None = None) -> Granted:
        if self.broken:
            raise PublishError("broken")
        self.asked.append((resource, variable))
        return Granted(Secret(f"token {len(self.asked)}"), self.now, self.lifetime, self.renewable)


def publisher(exchange: Exchanges, **variables: str) -> Publisher:
    return Publisher(exchange, Environment.read(GITHUB | variables))


def test_a_token_is_kept_until_little_is_left_of_it() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange, **NAMED)
    bearer.aim("org/model")
    told = []
    for minute in (0, 30, 54, 56, 57, 111):
        exchange.now = 60.0 * minute
        told.append(bearer.token())
    assert told == ["token 1"] * 3 + ["token 2"] * 2 + ["token 3"]
    assert exchange.asked == [("org/model", "HF_OIDC_RESOURCE")] * 3


def test_what_takes_long_begins_with_a_fresh_token() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange)
    bearer.aim("org/model")
    exchange.now = 60.0 * 11
    assert bearer.token(fresh=True) == "token 1"
    exchange.now = 60.0 * 13
    assert bearer.token() == "token 1"
    assert bearer.token(fresh=True) == "token 2"
    assert exchange.asked == [("org/model", None)] * 2


@pytest.mark.parametrize("lifetime", [0.5, 10, 300, 400])
def test_a_token_that_is_short_from_the_beginning(lifetime: float) -> None:
    exchange = Exchanges(lifetime=lifetime)
    bearer = publisher(exchange)
    bearer.aim("org/model")
    assert bearer.token(fresh=True) == "token 1"
    exchange.now = lifetime * 0.85
    assert bearer.token() == "token 2"


def test_a_proof_that_was_given_is_exchanged_late() -> None:
    exchange = Exchanges(renewable=False)
    bearer = publisher(exchange)
    bearer.aim("org/model")
    exchange.now = 3599
    assert bearer.token(fresh=True) == "token 1"
    assert not bearer.access.spent()
    exchange.now = 3600
    assert bearer.access.spent()
    assert bearer.token() == "token 2"


def test_what_is_left_is_used_where_there_is_no_other() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange)
    bearer.aim("org/model")
    exchange.broken, exchange.now = True, 3599
    assert bearer.token() == "token 1"
    exchange.now = 3600
    with pytest.raises(PublishError, match="broken"):
        bearer.token()


def test_one_exchange_for_many_threads() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange)
    bearer.aim("org/model")
    exchange.now = 3500
    told: list[str | None] = []
    threads = [threading.Thread(target=lambda: told.append(bearer.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["token 2"] * 8
    assert len(exchange.asked) == 2


def test_a_refusal_is_told_to_all_who_wait() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange, **NAMED)
    exchange.broken = True
    with pytest.raises(PublishError, match="broken"):
        bearer.aim("org/model")
    exchange.broken = False
    with pytest.raises(PublishError, match="broken"):
        bearer.token()
    assert exchange.asked == []


def test_it_writes_to_one_repository() -> None:
    bearer = publisher(Exchanges())
    bearer.aim("org/model")
    bearer.aim("org/model")
    with pytest.raises(PublishError, match="names org/model"):
        bearer.aim("org/other")


def test_offline_nothing_is_asked() -> None:
    exchange = Exchanges()
    bearer = publisher(exchange, HF_HUB_OFFLINE="1")
    bearer.aim("org/model")
    assert bearer.token() is None
    assert exchange.asked == []


def test_what_is_granted_does_not_show() -> None:
    assert "secret" not in repr(Granted(Secret("secret"), 0, 1, renewable=True)).replace("secret=", "")
    token = IdToken(Secret("hidden"), given=True, claims={})
    assert "hidden" not in repr(token)


# What proves who a job is


def proof(claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "value", ["", "a", "a.b", "..", "e30.e30.", "e30.@@.e30", "e30.W10.e30", "e30.4pyT.e30", "a.b.c"]
)
def test_what_is_no_proof(value: str) -> None:
    assert IdToken.read(value, given=True) is None


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({}, "this job"),
        ({"sub": 7, "repository": ["x"]}, "this job"),
        ({"sub": "org:runner"}, "org:runner"),
        ({"project_path": "group/project", "ref": "main"}, "group/project (ref main)"),
        (
            {
                "repository": "octo/merges",
                "workflow": "Any name",
                "workflow_ref": "octo/merges/.github/workflows/merge.yml@refs/heads/main",
                "ref": "refs/heads/main",
                "environment": "hub",
            },
            "octo/merges (workflow merge.yml, ref refs/heads/main, environment hub)",
        ),
        ({"repository": "octo/merges", "workflow": "Merge\n::error::x"}, "octo/merges (workflow Merge\\n::error::x)"),
    ],
)
def test_who_a_job_is(claims: dict[str, Any], who: str) -> None:
    token = IdToken.read(proof(claims), given=False)
    assert token is not None
    assert token.bearer == who


def test_whom_a_proof_is_for_and_until_when() -> None:
    token = IdToken.read(proof({"aud": ["a", "b"], "exp": 100}), given=False)
    assert token is not None
    assert token.audiences == ("a", "b")
    assert [token.has_expired(now) for now in (99, 100)] == [False, True]
    token = IdToken.read(proof({"aud": "a", "exp": "soon"}), given=False)
    assert token is not None
    assert token.audiences == ("a",)
    assert not token.has_expired(1e12)


# Answers that make no sense


@dataclass
class Answering(Exchange):
    """An exchange with what addresses answer, by the first letters of the method."""

    answers: dict[str, Any] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(Environment.read(GITHUB), self.hidden.extend, PublishError)

    def _ask(self, method: str, *_: Any) -> Any:
        return self.answers[method]


GOOD = proof({"repository": "octo/merges"})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"value": ".."},
        {"value": 7},
        {"value": None},
        {"value": "eyJhbGciOiJIUzI1NiJ9.e30"},
        {"value": "e30.W10.e30"},
    ],
)
def test_a_proof_that_makes_no_sense(answer: Any) -> None:
    exchange = Answering(answers={"GET": answer})
    with pytest.raises(PublishError, match="GitHub gave this job no ID token: its answer holds none"):
        exchange.token_for("org/model")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": ""},
        {"access_token": "hf_jwt_a\r\nX-Evil: 1"},
        {"access_token": "two words"},
        {"access_token": "hf_jwt_t\xf6ken"},
        {"access_token": 7},
        {"access_token": "hf_jwt_of_nobody", "expires_in": 0},
        {"access_token": "hf_jwt_of_nobody", "expires_in": "soon"},
        {"access_token": "hf_jwt_of_nobody", "expires_in": True},
        {"access_token": "hf_jwt_of_nobody", "expires_in": float("inf")},
        {"access_token": "hf_jwt_of_nobody", "expires_in": float("nan")},
    ],
)
def test_a_token_that_makes_no_sense(answer: Any) -> None:
    exchange = Answering(answers={"GET": {"value": GOOD}, "POST": answer})
    with pytest.raises(PublishError, match="the Hub gave no token: its answer holds none that can be used"):
        exchange.token_for("org/model")
    assert exchange.hidden[0] == GOOD


def test_a_token_that_makes_sense() -> None:
    exchange = Answering(answers={"GET": {"value": GOOD}, "POST": {"access_token": "hf_jwt_x"}})
    granted = exchange.token_for("org/model")
    assert (granted.secret.reveal(), granted.lifetime, granted.renewable) == ("hf_jwt_x", 3600, True)
    assert exchange.hidden == [GOOD, "hf_jwt_x"]


# What looks like a token


@pytest.mark.parametrize(
    "token",
    [
        TOKEN,
        proof({"sub": "x"}).replace("e30", "eyJhbGciOiJIUzI1NiJ9", 1),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4",
        "hf_jwt_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "hf_oauth_abcdefgh",
        "ghs_" + "a1" * 20,
    ],
)
def test_tokens_are_masked(token: str) -> None:
    assert masked(f"bad token: {token} (sorry)") == "bad token: *** (sorry)"
    assert masked(f'"{token}",Bearer {token}') == '"***",Bearer ***'
    assert token[:12] not in printable(masked("x" * 50 + token)) + CUT


@pytest.mark.parametrize(
    "text",
    [
        "hf_hub_download, hf_raise_for_status and hf_xet",
        "sha256:" + "ab" * 32,
        "model-00001-of-00002.safetensors at eyJhbGciOi",
        "`hf repos create org/model --private`",
        "",
    ],
)
def test_other_words_are_not_masked(text: str) -> None:
    assert masked(text) == text


def documented() -> list[str]:
    """Patterns of the messages in the documentation."""
    page = (ROOT / "docs" / "trusted-publishing.md").read_text().partition("## Messages and cures")[2]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if ": " in line and line[0] == "|"]
    messages = [message for cell in cells for message in cell.split("<br>")]
    escaped = [re.sub(r"([().?])", r"\\\1", message) for message in messages]
    return [re.sub("R(?=:)|REPO|EXPERT|OWNER/NAME|…", ".+", message) for message in escaped]


@pytest.mark.parametrize("failure", [each for each in FAILURES if each.code != 2], ids=lambda failure: failure.id)
def test_every_message_is_documented(failure: Failure) -> None:
    if "OFFLINE" not in failure.hint:  # which is no matter of trust
        assert any(re.fullmatch(pattern, failure.what) for pattern in documented()), failure.what


def test_every_documented_message_exists() -> None:
    shown = [failure.what for failure in FAILURES]
    assert [pattern for pattern in documented() if not any(re.fullmatch(pattern, what) for what in shown)] == []


def test_an_exchange_has_the_exit_code_of_its_purpose() -> None:
    environment = Environment.read(NAMED | READER)
    with pytest.raises(SourceError, match="anna: no token: there is no proof of who asks"):
        for_reading(environment, lambda _: None).token()
    with pytest.raises(PublishError, match="org/model: no token: there is no proof of who asks"):
        for_writing(environment, lambda _: None).aim("org/model")
