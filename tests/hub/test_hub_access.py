"""Private, gated and disabled repositories, and tokens with too few rights, as the real client tells them apart."""

from pathlib import Path

import pytest
from hub_drive import Steps, drive

from ramekin.hub import Scope, User, serve

USERS = (
    User("member", "hf_member", organizations=("org",)),
    User("stranger", "hf_stranger"),
    User("granted", "hf_granted"),
    User("reader", "hf_reader", role="read", organizations=("org",)),
    User(
        "job", "hf_job", role="fine-grained", organizations=("org",), scopes=(Scope.of("org/private", "read", "write"),)
    ),
)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    with serve(tmp_path_factory.mktemp("hub"), users=USERS) as hub:
        for name in ("private", "gated", "disabled", "public"):
            repository = hub.store.create_repo(f"org/{name}", private=name == "private")
            hub.store.commit(f"org/{name}", {"model.safetensors": bytes(100)})
            if name == "gated":
                repository.set_info(gated="manual", granted=("granted",))
            if name == "disabled":
                repository.set_info(disabled=True)
        facts = {"tokens": {user.name: user.token for user in USERS}}
        return drive(hub.env(tmp_path_factory.mktemp("home")), "scenario_access", facts)


REFUSED = {
    "wrong_token": ("HfHubHTTPError", 401),
    "private_anonymous": ("RepositoryNotFoundError", 401),
    "private_stranger": ("RepositoryNotFoundError", 404),
    "gated_check_stranger": ("GatedRepoError", 403),
    "gated_file_anonymous": ("GatedRepoError", 401),
    "gated_file_stranger": ("GatedRepoError", 403),
    "disabled": ("DisabledRepoError", 403),
    "write_stranger": ("HfHubHTTPError", 403),
    "write_reader": ("HfHubHTTPError", 403),
    "check_write_reader": ("HfHubHTTPError", 403),
    "create_stranger": ("HfHubHTTPError", 403),
    "job_write_elsewhere": ("HfHubHTTPError", 403),
    "job_create": ("HfHubHTTPError", 403),
}
ALLOWED = {
    "private_member": "org/private",
    "private_exists_for_stranger": False,
    "gated_info_anonymous": "org/gated",
    "gated_file_granted": 100,
    "gated_file_member": 100,
    "public_anonymous": 100,
    "write_member": None,
    "pull_stranger": 1,
    "check_write_member": None,
    "job_info": "org/private",
    "job_write": None,
}


@pytest.mark.parametrize(("step", "expected"), REFUSED.items())
def test_refused(steps: Steps, step: str, expected: tuple[str, int]) -> None:
    assert "error" in steps[step], steps[step]
    assert (steps[step]["error"][0], steps[step]["status"]) == expected


@pytest.mark.parametrize(("step", "expected"), ALLOWED.items())
def test_allowed(steps: Steps, step: str, expected: object) -> None:
    assert "value" in steps[step], steps[step]
    assert steps[step]["value"] == expected


def test_repos_of_ones_own(steps: Steps) -> None:
    assert steps["create_own"]["value"].endswith("/stranger/own")
    assert steps["create_stranger_there"]["value"].endswith("/org/public")
    assert "error" in steps["no_token"]


def test_a_token_never_shows(tmp_path: Path) -> None:
    assert "hf_member" not in repr(USERS)
