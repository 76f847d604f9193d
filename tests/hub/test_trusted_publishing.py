"""The unmodified client exchanges its ID token at the embedded Hub, and the token is good for one thing alone."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hub_drive import Steps, drive

from ramekin.hub import Hub, Job, User, serve, threads
from ramekin.hub.access import Access, check_create, check_known
from ramekin.hub.refusal import Refusal
from ramekin.hub.repository import Note
from ramekin.hub.trust import AUTHOR, Trust


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    users = (User("owner", "hf_owner_token_of_the_tests", organizations=("org",)), User("anna", "hf_anna_token_of_all"))
    with serve(tmp_path_factory.mktemp("hub"), users=users) as hub:
        for name in ("target", "other", "private", "gated"):
            repository = hub.store.create_repo(f"org/{name}", private=name in ("target", "private"))
            hub.store.commit(f"org/{name}", {"model.safetensors": bytes(100)})
            if name == "gated":
                repository.set_info(gated="manual", granted=("anna",))
        threads.open_thread(hub.store.get("org/other"), Note("a title"))
        hub.store.create_repo("org/target", repo_type="dataset")
        hub.trust.add("org/target")
        hub.trust.add("anna", Job(repository="octo/merges", workflow=None, ref=None))
        made = {}
        for resource in ("org/target", "anna"):
            env = hub.env(tmp_path_factory.mktemp("home"), token="")
            env |= {"HF_OIDC_RESOURCE": resource, "HF_OIDC_ID_TOKEN": hub.trust.id_token()}
            made[resource] = drive(env, "scenario_trust")
        repository = hub.store.get("org/target")
        assert next(repository.history(repository.resolve("main"))).author == AUTHOR
        return made


TARGET = {
    "token": "hf_jwt_ey",
    "write": True,
    "propose": 1,
    "discuss": 2,
    "write_other": 403,
    "propose_other": 403,
    "discuss_other": 403,
    "comment_other": 403,
    "write_dataset": 403,
    "read_own": True,
    "read_private": 404,
    "read_gated": 403,
    "read_public": 100,
    "create": 401,
    "create_existing": True,
    "create_collection": 403,
    "delete": 403,
    "move": 401,
    "who": 401,
    "check_write": None,
    "check_write_other": 403,
}
ANNA = {
    "token": "hf_oauth_",
    "write": 404,
    "write_other": 403,
    "propose_other": 403,
    "discuss_other": 403,
    "read_own": 404,
    "read_private": 404,
    "read_gated": 100,
    "read_public": 100,
    "create": 401,
    "delete": 403,
    "who": "anna",
    "check_write_other": 403,
}


@pytest.mark.parametrize(
    ("resource", "step", "expected"),
    [(name, *row) for name, rows in (("org/target", TARGET), ("anna", ANNA)) for row in rows.items()],
)
def test_what_a_token_is_good_for(roads: dict[str, Steps], resource: str, step: str, expected: Any) -> None:
    came = roads[resource][step]
    if isinstance(expected, int) and not isinstance(expected, bool) and expected > 400:
        assert came.get("status") == expected, came
    else:
        assert came.get("value", came) == expected


# Who gets one


@pytest.fixture
def trust() -> Trust:
    users = (User("owner", "hf_owner_token_of_the_tests"), User("anna", "hf_anna_token_of_all"))
    return Trust(Access(users), "http://hub.example")


@pytest.mark.parametrize(
    ("publisher", "job", "granted"),
    [
        (Job(), Job(), True),
        (Job(workflow=None, ref=None), Job(workflow="x.yml", ref="refs/heads/x"), True),
        (Job(repository="octo/others"), Job(), False),
        (Job(), Job(workflow="merge.yml2"), False),
        (Job(), Job(ref="refs/heads/main-backup"), False),
        (Job(environment="hub"), Job(), False),
        (Job(environment="hub"), Job(environment="hub"), True),
        (Job(), Job(environment="hub"), True),
    ],
)
def test_claims_are_matched_exactly(trust: Trust, publisher: Job, job: Job, granted: bool) -> None:
    trust.add("org/model", publisher)
    assert (trust.exchange(trust.id_token(job), "org/model") is not None) == granted
    assert trust.exchange(trust.id_token(job), "org/other") is None


def test_what_proves_nothing(trust: Trust) -> None:
    trust.add("org/model")
    proof = trust.id_token()
    head, claims, signature = proof.split(".")
    for forged in ("", "a.b.c", proof[:-1], f"{head}.{claims}.", f"{claims}.{claims}.{signature}", proof + "A"):
        assert trust.exchange(forged, "org/model") is None
    assert trust.exchange(trust.id_token(audience="http://other.example"), "org/model") is None
    assert trust.exchange(trust.id_token(lifetime=-1), "org/model") is None
    assert trust.exchange(Trust(Access(), "http://hub.example").id_token(), "org/model") is None
    assert trust.exchange(proof, "org/model")


def test_nobody_reads_as_a_user_who_is_none(trust: Trust) -> None:
    trust.add("nobody")
    assert trust.exchange(trust.id_token(), "nobody") is None


def test_a_token_ends(trust: Trust) -> None:
    trust.add("org/model")
    trust.lifetime = 0.05
    token = trust.exchange(trust.id_token(), "org/model")
    assert token
    assert trust.access.viewer(f"Bearer {token}")
    time.sleep(0.06)
    with pytest.raises(Refusal, match="Invalid credentials"):
        trust.access.viewer(f"Bearer {token}")


def test_what_no_exchanged_token_does(trust: Trust) -> None:
    trust.add("org/model")
    token = trust.exchange(trust.id_token(), "org/model")
    viewer = trust.access.viewer(f"Bearer {token}")
    assert viewer
    for check in (lambda: check_create(viewer, "org/new"), lambda: check_known(viewer)):
        with pytest.raises(Refusal, match="for org/model alone"):
            check()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"resource": "a/b/c"}, "invalid_request"),
        ({"resource": 7}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"resource": "org/nowhere"}, "invalid_grant"),
        ({"resource": "datasets/org/model"}, "invalid_grant"),
        ({"resource": "org/moved"}, "invalid_grant"),
        ({"subject_token": "a.b.c"}, "invalid_grant"),
    ],
)
def test_what_the_exchange_refuses(exchanging: Hub, fields: dict[str, Any], error: str) -> None:
    status, said = asked(exchanging, whole(exchanging) | fields if fields else {})
    assert (status, said["error"]) == (400, error)
    assert said["error_description"]


def test_what_the_exchange_gives(exchanging: Hub) -> None:
    status, said = asked(exchanging, whole(exchanging))
    assert status == 200
    assert (said["token_type"], said["expires_in"]) == ("bearer", 3600)
    assert said["access_token"].startswith("hf_jwt_")


@pytest.fixture(scope="module")
def exchanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve(tmp_path_factory.mktemp("hub")) as hub:
        hub.store.create_repo("org/moved")
        hub.store.move_repo("org/moved", "org/model")
        for name in ("org/model", "datasets/org/model", "org/nowhere", "org/moved"):
            hub.trust.add(name)
        yield hub


def whole(hub: Hub) -> dict[str, Any]:
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": hub.trust.id_token(),
        "resource": "org/model",
    }


def asked(hub: Hub, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = httpx2.post(f"{hub.url}/oauth/token", json=body, trust_env=False)
    return answer.status_code, answer.json()
