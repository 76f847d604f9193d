"""Every way in which trusted publishing can fail: what is wrong, the exit code, and the two lines that are shown."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ramekin.hub import DEMO, Fault, Job
from tests.integration.trusting import READER, RESOURCE, Trusting

RUN: Final = ("run", "merge.yaml")
PLAN: Final = ("plan", "merge.yaml")
EXCHANGE: Final = "^/oauth/token"
GITHUB: Final = "^/_github/"
NOWHERE: Final = "http://127.0.0.1:9/"
WHO: Final = "octo/merges (workflow merge.yml, ref refs/heads/main)"
MIRROR: Final = "; where HF_ENDPOINT names a mirror, unset it: only https://huggingface.co gives tokens"
AGAIN: Final = "run the same command again later"


@dataclass(frozen=True)
class Failure:
    """One of them.

    Attributes:
        id: Name of the case.
        code: The exit code.
        what: The first line, without `error: `; `@` stands for the target, `%HUB%` for the Hub, `…` for any end.
        hint: The second, without ` hint: `.
        setup: Brings it about, once the target is there and trusts the job.
        command: The command.
        trusts: Whether the target is there, and trusts the job.
    """

    id: str
    code: int
    what: str
    hint: str
    setup: Callable[[Trusting], Any] = Trusting.become
    command: tuple[str, ...] = RUN
    trusts: bool = True


def answered(path: str, status: int = 200, body: Any = None, **headers: str) -> Callable[[Trusting], None]:
    """What that path answers with, for ever."""
    text = body if isinstance(body, str | None) else json.dumps(body)

    def setup(scene: Trusting) -> None:
        scene.become()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        scene.hub.faults.add(Fault("status", path, status=status, body=text, times=None, headers=named, message="no"))

    return setup


def given(token: str | None = None, **facts: Any) -> Callable[[Trusting], None]:
    """The ID token of another CI."""

    def setup(scene: Trusting) -> None:
        proof = token or scene.hub.trust.id_token(**facts)
        scene.env |= {"HF_TOKEN": "", "HF_OIDC_ID_TOKEN": proof, RESOURCE: scene.target}

    return setup


def without_permission(scene: Trusting) -> None:
    scene.env |= {"HF_TOKEN": "", "GITHUB_ACTIONS": "true", RESOURCE: scene.target}


def reader_without_permission(scene: Trusting) -> None:
    scene.env |= {"HF_TOKEN": "", "GITHUB_ACTIONS": "true", READER: "anna"}


def outside(scene: Trusting) -> None:
    scene.env |= {"HF_TOKEN": "", RESOURCE: scene.target}


def reader(*, trusted: bool = True, **options: Any) -> Callable[[Trusting], None]:
    """Read as anna; one expert is there for those who were let in, or for its owner alone."""

    def setup(scene: Trusting) -> None:
        scene.manifest(coder=scene.variant(**options))
        if trusted:
            scene.hub.trust.add("anna")
        scene.become(**{READER: "anna"})

    return setup


def unreachable(scene: Trusting) -> None:
    scene.become(ACTIONS_ID_TOKEN_REQUEST_URL=NOWHERE)


def cut_off(scene: Trusting) -> None:
    scene.become()
    scene.hub.faults.add(Fault("drop-before", EXCHANGE, times=None))


def unnamed_reader(scene: Trusting) -> None:
    scene.manifest(coder=scene.variant(gated="manual"))
    scene.become()


def trusted_to_read(scene: Trusting) -> None:
    scene.hub.store.create_repo(scene.target)
    scene.hub.trust.add(scene.target, read_only=True)
    scene.become()


def trusted_elsewhere(scene: Trusting) -> None:
    scene.hub.store.create_repo(scene.target)
    scene.hub.trust.add(scene.target, Job(environment="hub"))
    scene.become()


def ended(scene: Trusting) -> None:
    """A token that lasts only as long as the merge, from a proof that gives no second one."""
    given()(scene)
    scene.hub.trust.lifetime = 4.0
    scene.hub.faults.add(Fault("delay", "^/_upload/", seconds=4.0))


def gone(scene: Trusting) -> None:
    answered(f"^/api/models/{scene.target}[?]", 404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")(
        scene
    )


def refused_commit(status: int) -> Callable[[Trusting], None]:
    return lambda scene: answered(f"^/api/models/{scene.target}/commit/", status)(scene)


def no_token(message: str, hint: str, setup: Callable[[Trusting], Any], name: str, **more: Any) -> Failure:
    return Failure(name, 7, f"@: the Hub gave no token: {message}", hint, setup, **more)


def no_proof(message: str, hint: str, setup: Callable[[Trusting], Any], name: str, **more: Any) -> Failure:
    return Failure(name, 7, f"@: no token: {message}", hint, setup, **more)


NO_ID: Final = "GitHub gave this job no ID token: "
GRANT: Final = {"error": "invalid_grant"}
TRUST: Final = "make that job a trusted publisher on %HUB%/@/settings; if there is no such repository yet, first "
CREATE: Final = f"{TRUST}`hf repos create @ --private`{MIRROR}"
SETTINGS: Final = "the token is good for @ alone: look on %HUB%/@/settings whether this job may write"
NOT_TRUSTED: Final = "is not trusted there (invalid_grant: The token cannot be exchanged for this resource)"

FAILURES: Final = (
    no_proof(
        "this job may not ask GitHub for a proof of who it is",
        "give the job `permissions: id-token: write`; or unset HF_OIDC_RESOURCE, and set HF_TOKEN",
        without_permission,
        "no permission to ask for a proof",
    ),
    Failure(
        "no permission to ask for a proof to read",
        4,
        "anna: no token: this job may not ask GitHub for a proof of who it is",
        "give the job `permissions: id-token: write`; or unset RAMEKIN_OIDC_READER, and set HF_TOKEN",
        reader_without_permission,
        PLAN,
    ),
    no_proof(
        "there is no proof of who asks outside of GitHub Actions",
        "set HF_OIDC_ID_TOKEN to the ID token of your CI; or unset HF_OIDC_RESOURCE, and set HF_TOKEN",
        outside,
        "outside of any job",
    ),
    Failure(
        "no token at all",
        7,
        "@: could not write there: there is no token",
        "make this job a trusted publisher there and give it `permissions: id-token: write`, or set HF_TOKEN",
        lambda scene: scene.env.update(HF_TOKEN="", GITHUB_ACTIONS="true"),
        trusts=False,
        command=("run", "merge.yaml"),
    ),
    no_proof(
        f"{NO_ID}it answered 403 (no)",
        "look whether the job still runs, and has `permissions: id-token: write`",
        answered(GITHUB, 403),
        "GitHub refuses",
    ),
    no_proof(f"{NO_ID}it answered 503 (no)", "run the job again", answered(GITHUB, 503), "GitHub is down"),
    no_proof(
        f"{NO_ID}the network gave up ([Errno 111] Connection refused)",
        "run the job again; ACTIONS_ID_TOKEN_REQUEST_URL says where it asks",
        unreachable,
        "GitHub is not to be reached",
    ),
    no_proof(
        f"{NO_ID}its answer holds none", "run the job again", answered(GITHUB, 200, "<html>"), "GitHub shows a page"
    ),
    no_proof(
        "what HF_OIDC_ID_TOKEN holds is no ID token",
        "set it to the ID token of your CI: three parts with dots between them",
        given("hf_this_is_another_token_of_the_tests"),
        "the given ID token is none",
    ),
    no_token(
        "HF_OIDC_ID_TOKEN has expired (invalid_grant: The token cannot be exchanged for this resource)",
        "let the CI make it right before, or merge in one job and `ramekin publish` in the next",
        given(lifetime=-5),
        "the given ID token has expired",
    ),
    no_token(
        "the ID token was made for https://elsewhere.example, not for %HUB% (invalid_grant: "
        "The token cannot be exchanged for this resource)",
        "let the CI make it for the audience %HUB%",
        given(audience="https://elsewhere.example"),
        "the given ID token is for another audience",
    ),
    no_token(
        "it takes no ID token that was made for %HUB% (invalid_grant: wrong audience)",
        "unset HF_ENDPOINT: only https://huggingface.co gives tokens, no mirror of it does",
        answered(EXCHANGE, 400, {**GRANT, "error_description": "wrong audience"}),
        "the Hub behind a mirror wants another audience",
    ),
    no_token(f"{WHO} {NOT_TRUSTED}", CREATE, Trusting.become, "no repository", trusts=False),
    no_token(
        f"{WHO} {NOT_TRUSTED}",
        CREATE,
        lambda scene: (scene.become(), scene.hub.trust.clear()),
        "no trusted publisher",
    ),
    no_token(f"{WHO} {NOT_TRUSTED}", CREATE, trusted_elsewhere, "another environment", trusts=False),
    Failure(
        "no trusted reader",
        4,
        "anna: the Hub gave no token: "
        f"{WHO} is not trusted to read as this user (invalid_grant: The token cannot be exchanged for this resource)",
        f"add that job on %HUB%/settings/authentication, under CI/CD Access, as anna{MIRROR}",
        reader(trusted=False),
        PLAN,
    ),
    no_token(
        "it knows no such kind of resource (invalid_request: Invalid resource)",
        "output.repo is to name a repository as `namespace/name`, or a user",
        answered(EXCHANGE, 400, {"error": "invalid_request", "error_description": "Invalid resource"}),
        "an invalid request",
    ),
    no_token("it answered 404 (no)", "check HF_ENDPOINT", answered(EXCHANGE, 404), "a mirror without the exchange"),
    no_token("it answered 503 (no)", AGAIN, answered(EXCHANGE, 503), "the Hub is down"),
    no_token(
        "the network gave up (…",
        "check the connection and HF_ENDPOINT, then run the same command again",
        cut_off,
        "the Hub hangs up",
    ),
    no_token("it answered 429 (no)", AGAIN, answered(EXCHANGE, 429, Retry_After="0"), "too many requests"),
    no_token(
        "its answer holds none that can be used",
        "check HF_ENDPOINT, and whether this network wants a log-in first",
        answered(EXCHANGE, 200, {}),
        "an empty answer",
    ),
    Failure(
        "another repository is named",
        7,
        "@: HF_OIDC_RESOURCE names demo/other, and a token for that cannot write here",
        "set HF_OIDC_RESOURCE to output.repo of the manifest, or unset it",
        lambda scene: scene.become(**{RESOURCE: "demo/other"}),
    ),
    Failure(
        "a dataset is named",
        7,
        "@: HF_OIDC_RESOURCE names datasets/demo/other, and a token for that cannot write here",
        "set HF_OIDC_RESOURCE to output.repo of the manifest, or unset it",
        lambda scene: scene.become(**{RESOURCE: "datasets/demo/other"}),
    ),
    Failure(
        "the repository is gone",
        7,
        "@: does not exist, and trusted publishing cannot create it",
        "create it once by hand, `hf repos create @ --private`; then trust this job in its settings",
        gone,
    ),
    *(
        Failure(
            f"{setting} is elsewhere",
            7,
            f"@: output.{setting} writes elsewhere, and trusted publishing writes to @ alone",
            f"leave out output.{setting} and do that by hand, or set HF_TOKEN and unset HF_OIDC_RESOURCE",
            lambda scene, setting=setting, value=value: (scene.become(), scene.manifest(f"  {setting}: {value}\n")),
            command=("run", "merge.yaml", "--adopt"),
        )
        for setting, value in (("collection", "Ours"), ("supersedes", "demo/coder"))
    ),
    Failure(
        "trusted to read only",
        7,
        "@: could not write there: the Hub answered 403 (Forbidden: you don't have the rights to write to…",
        SETTINGS,
        trusted_to_read,
        trusts=False,
    ),
    *(
        Failure(
            f"{status} for the commit",
            7,
            f"@: could not commit: the Hub answered {status} (no)",
            SETTINGS,
            refused_commit(status),
        )
        for status in (401, 403)
    ),
    Failure(
        "the token has ended",
        7,
        "@: could not upload model.safetensors: the token of trusted publishing has expired "
        "(Invalid credentials in Authorization header)",
        "run the same command again, it goes on where it stopped; a smaller output.shard_size helps",
        ended,
        command=("run", "merge.yaml", "--low-disk"),
    ),
    Failure(
        "a gate that anna was not let through",
        4,
        "@-one/ at COMMIT: is gated and anna (by trusted publishing) has no access",
        "accept its terms on its page as anna, and run the same command again",
        reader(gated="manual"),
        PLAN,
    ),
    Failure(
        "a gate, and nobody is named to read as",
        4,
        "@-one/ at COMMIT: is gated and this token has no access",
        "accept its terms on its page, then set RAMEKIN_OIDC_READER to the user who did, or set HF_TOKEN",
        unnamed_reader,
    ),
    Failure(
        "a private expert",
        4,
        "@-one: does not exist, or this token may not see it",
        "check the name; trusted publishing reads nothing private: unset RAMEKIN_OIDC_READER, and set HF_TOKEN",
        reader(private=True),
        PLAN,
    ),
    Failure(
        "no network wanted",
        4,
        "demo/base…",
        "unset HF_HUB_OFFLINE, or use local directories",
        lambda scene: (reader()(scene), scene.env.update(HF_HUB_OFFLINE="1")),
        PLAN,
    ),
    *(
        Failure(name, 2, what, hint, lambda scene, variables=variables: scene.become(**variables), PLAN)
        for name, what, hint, variables in (
            (
                "a resource that is none",
                "HF_OIDC_RESOURCE names neither a repository nor a user",
                "write it as `namespace/name`, or as the name of a user to read as",
                {RESOURCE: "https://huggingface.co/demo/agent"},
            ),
            (
                "a reader that is a repository",
                "RAMEKIN_OIDC_READER is no name of a user",
                "write the name of the user to read as, without a slash",
                {READER: "demo/agent"},
            ),
            (
                "two readers",
                "HF_OIDC_RESOURCE and RAMEKIN_OIDC_READER name two users to read as",
                "unset one of them",
                {RESOURCE: "anna", READER: "bert"},
            ),
            (
                "an ID token of two lines",
                "the ID token has characters that no token has",
                "copy it again into HF_OIDC_ID_TOKEN",
                {"HF_OIDC_ID_TOKEN": "abcdefgh.ijklmnop\n.qrs"},
            ),
            (
                "a permission to ask of two lines",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN has characters that no token has",
                "leave it as GitHub has set it",
                {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "abcdefgh\nX-Evil: 1"},
            ),
        )
    ),
)

#: What an error of the Hub's may hold, though it belongs in no output.
ECHOES: Final = {
    "the proof itself": lambda proof: proof,
    "its beginning": lambda proof: proof[: len(proof) - 30],
    "a token of the Hub": lambda _: "hf_jwt_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "a token for people": lambda _: "hf_" + "aB3" * 12,
    "a stored one": lambda _: DEMO.token,
}
