"""Signing a merge and checking it: what was changed since, by whomever, is found."""

import base64
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from finished import Pair, finished, make_keys, rewrite_report, subject_of
from hypothesis import given, settings
from hypothesis import strategies as st
from model_signing import verifying

from ramekin.attestation import signing
from ramekin.attestation.checking import Attested, check_attestation, claimed, key_trust
from ramekin.attestation.signing import key_signer, keyless_signer, sign_directory
from ramekin.attestation.statement import ATTESTATION, Statement, lies_in, read_bundle
from ramekin.environment import Environment, Secret
from ramekin.errors import DamagedError, PublishError, UsageError
from ramekin.report import (
    CARD_TEMPLATE,
    LOCK_COPY,
    MANIFEST_COPY,
)
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

REPORT = "ramekin/report.json"


@dataclass(frozen=True)
class Signed:
    """A signed merge, and the keys."""

    directory: Path
    keys: Pair

    def check(self, keys: Pair | None = None) -> Attested:
        return check_attestation(subject_of(self.directory), key_trust((keys or self.keys).public))


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    directory, keys = finished(tmp_path / "merged"), make_keys(tmp_path)
    sign_directory(directory, key_signer(keys.private, None))
    return Signed(directory, keys)


def edit_bundle(directory: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the bundle and the statement in it, without signing anew."""
    path = directory / ATTESTATION
    bundle = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(bundle, statement)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))


def test_what_was_signed_is_good(signed: Signed) -> None:
    found = signed.check()
    assert found == Attested(f"the key {signed.keys.public}", checked=True, files=3)
    statement = read_bundle((signed.directory / ATTESTATION).read_bytes()).statement
    report = subject_of(signed.directory).report
    assert statement.key == report.key
    assert statement.files.keys() == {"config.json", "model.safetensors", LOCK_COPY}
    assert all(statement.files[name] == report.output.files[name].sha256 for name in statement.files)


def test_others_can_check_it_without_us(signed: Signed) -> None:
    """The library by itself, hashing the directory, as its own command line does."""
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=signed.keys.public)
    verifier.verify(signed.directory, signed.directory / ATTESTATION)
    (signed.directory / ".cache/huggingface").mkdir(parents=True)
    (signed.directory / ".cache/huggingface/x.metadata").write_text("")
    verifier.verify(signed.directory, signed.directory / ATTESTATION)
    (signed.directory / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        verifier.verify(signed.directory, signed.directory / ATTESTATION)


def test_new_card_texts_leave_it_good(signed: Signed) -> None:
    manifest = signed.directory / MANIFEST_COPY
    manifest.write_text(manifest.read_text() + "card:\n  title: Better\n")
    rewrite_report(signed.directory, texts="sha256:" + "0" * 64)
    others = ("README.md", CARD_TEMPLATE, "ramekin/plots/more.svg", ".gitattributes", ".cache/huggingface/x")
    for name in others:
        (signed.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (signed.directory / name).write_text("other")
    assert not signed.check().wrong


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_every_curve_with_a_passphrase(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    keys = make_keys(tmp_path, passphrase="correct horse", curve=curve)
    directory = finished(tmp_path / "merged")
    sign_directory(directory, key_signer(keys.private, Secret("correct horse")))
    assert not check_attestation(subject_of(directory), key_trust(keys.public)).wrong


def swap_weights(signed: Signed) -> None:
    """Other weights, and a report that says so."""
    (signed.directory / "model.safetensors").write_bytes(b"trojans")
    rewrite_report(signed.directory)


def swap_lock(signed: Signed) -> None:
    path = signed.directory / LOCK_COPY
    path.write_text(path.read_text().replace("org/coder", "org/loser"))
    rewrite_report(signed.directory)


def add_file(name: str) -> Callable[[Signed], None]:
    def change(signed: Signed) -> None:
        (signed.directory / name).parent.mkdir(exist_ok=True)
        (signed.directory / name).write_text("print('hello')")

    return change


def drop_file(signed: Signed) -> None:
    (signed.directory / "config.json").unlink()
    rewrite_report(signed.directory)


def another_merge(signed: Signed) -> None:
    """The signed attestation of another merge, by the same key."""
    other = finished(signed.directory.with_name("other"), repo="org/other", weights=b"others")
    sign_directory(other, key_signer(signed.keys.private, None))
    shutil.copy(other / ATTESTATION, signed.directory / ATTESTATION)


def another_key_in_the_report(signed: Signed) -> None:
    rewrite_report(signed.directory, key="sha256:" + "e" * 64)


def other_sources(signed: Signed) -> None:
    rewrite_report(signed.directory, base={"source": "famous/model", "commit": "0" * 40, "license": None})


def other_manifest(signed: Signed) -> None:
    path = signed.directory / MANIFEST_COPY
    path.write_text(path.read_text().replace("ram+", "ram"))
    rewrite_report(signed.directory)


def edited(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Callable[[Signed], None]:
    return lambda signed: edit_bundle(signed.directory, change)


def other_digest(bundle: dict[str, Any], statement: dict[str, Any]) -> None:
    statement["predicate"]["resources"][0]["digest"] = "0" * 64


def ignore_all(bundle: dict[str, Any], statement: dict[str, Any]) -> None:
    statement["predicate"]["serialization"]["ignore_paths"].append("modeling.py")


def no_hint(bundle: dict[str, Any], statement: dict[str, Any]) -> None:
    del bundle["verificationMaterial"]["publicKey"]["hint"]


def replaced(content: bytes) -> Callable[[Signed], None]:
    return lambda signed: (signed.directory / ATTESTATION).write_bytes(content) and None  # type: ignore[func-returns-value]


TAMPERED: dict[str, tuple[Callable[[Signed], None], str, str]] = {
    "weights and report": (swap_weights, "model.safetensors", "is not what was signed"),
    "lock and report": (swap_lock, LOCK_COPY, "is not what was signed"),
    "a file less": (drop_file, "config.json", "is signed, and no part of the merge"),
    "code beside it": (add_file("modeling_agent.py"), "modeling_agent.py", "is not signed"),
    "a pickle beside it": (add_file("pytorch_model.bin"), "pytorch_model.bin", "is not signed"),
    "a file like a card": (add_file("README.md.py"), "README.md.py", "is not signed"),
    "something of ramekin's": (add_file("ramekin/neurons.safetensors"), "ramekin/neurons.safetensors", "is not signed"),
    "the key of the report": (another_key_in_the_report, ATTESTATION, "is of another merge"),
    "the sources of the report": (other_sources, REPORT, "names other sources than the signed lock"),
    "the manifest": (other_manifest, MANIFEST_COPY, "is not the manifest of the signed lock"),
    "of another merge": (another_merge, "model.safetensors", "is not what was signed"),
    "a digest in the statement": (edited(other_digest), ATTESTATION, "or was changed since"),
    "what it ignores": (edited(ignore_all), ATTESTATION, "or was changed since"),
    "no hint and all else as it was": (edited(no_hint), ATTESTATION, "or was changed since"),
    "nothing": (lambda signed: (signed.directory / ATTESTATION).unlink(), ATTESTATION, "is missing"),
    "no JSON": (replaced(b"\xff\xfe"), ATTESTATION, "is no attestation"),
    "deep JSON": (replaced(b'{"a":' * 100_000), ATTESTATION, "is no attestation"),
    "another object": (replaced(b'{"dsseEnvelope": {"payload": 5}}'), ATTESTATION, "is no attestation"),
    "a list": (replaced(b"[]"), ATTESTATION, "is no attestation"),
}


@pytest.mark.parametrize(("tamper", "name", "what"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_changed_is_found(
    signed: Signed, tamper: Callable[[Signed], None], name: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(signed)
    wrong = signed.check().wrong
    assert name in wrong
    assert what in wrong[name]
    assert not capsys.readouterr().out, "the library writes where the result goes"


def test_another_key_is_another_key(signed: Signed, tmp_path: Path) -> None:
    other = make_keys(tmp_path, "other")
    wrong = signed.check(other).wrong
    assert wrong == {ATTESTATION: f"is not signed by the key {other.public}, but by another"}


def test_a_signature_of_somebody_else_under_the_right_name(signed: Signed, tmp_path: Path) -> None:
    """Whoever signs with another key and writes the trusted key's name beside it is found out all the same."""
    hint = json.loads((signed.directory / ATTESTATION).read_text())["verificationMaterial"]["publicKey"]["hint"]
    other = make_keys(tmp_path, "other")
    sign_directory(signed.directory, key_signer(other.private, None))

    def lie(bundle: dict[str, Any], statement: dict[str, Any]) -> None:
        bundle["verificationMaterial"]["publicKey"]["hint"] = hint

    path = signed.directory / ATTESTATION
    bundle = json.loads(path.read_text())
    lie(bundle, {})
    path.write_text(json.dumps(bundle))
    assert "or was changed since" in signed.check().wrong[ATTESTATION]


def test_what_it_claims_is_told_unchecked(signed: Signed, tmp_path: Path) -> None:
    found = claimed(subject_of(signed.directory))
    assert found is not None
    assert (found.checked, found.files, found.wrong) == (False, 3, {})
    assert found.by.startswith("a key, ")
    (signed.directory / ATTESTATION).write_text("[]")
    assert claimed(subject_of(signed.directory)) is None


def test_a_damaged_directory_is_not_signed(tmp_path: Path) -> None:
    directory, keys = finished(tmp_path / "merged"), make_keys(tmp_path)
    (directory / "config.json").write_text("{ }")
    with pytest.raises(DamagedError, match=r"config\.json: differs from the report"):
        sign_directory(directory, key_signer(keys.private, None))
    assert not (directory / ATTESTATION).exists()


def test_an_attestation_of_something_else_is_not_taken_along(signed: Signed) -> None:
    report = subject_of(signed.directory).report
    assert lies_in(signed.directory, report)
    another_merge(signed)
    with pytest.raises(DamagedError, match="is not of this merge"):
        lies_in(signed.directory, report)
    (signed.directory / ATTESTATION).unlink()
    assert not lies_in(signed.directory, report)


KEYS: dict[str, tuple[str, str | None, str]] = {
    "none there": ("absent.pem", None, "No such file"),
    "a directory": (".", None, "directory"),
    "no key": ("text.pem", None, "is no private key"),
    "a public one": ("key.pub", None, "is no private key"),
    "a passphrase missing": ("locked.pem", None, "has a passphrase"),
    "a wrong passphrase": ("locked.pem", "wrong horse battery", "the passphrase is not the key's"),
    "a passphrase too many": ("key.pem", "wrong horse battery", "has no passphrase"),
    "another curve": ("secp256k1.pem", None, "is no private key of an elliptic curve"),
}


@pytest.mark.parametrize(("name", "passphrase", "says"), KEYS.values(), ids=KEYS)
def test_keys_that_cannot_sign(tmp_path: Path, name: str, passphrase: str | None, says: str) -> None:
    make_keys(tmp_path)
    make_keys(tmp_path, "locked", passphrase="correct horse")
    make_keys(tmp_path, "secp256k1", curve=ec.SECP256K1())
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(UsageError, match=says) as raised:
        key_signer(tmp_path / name, Secret(passphrase) if passphrase else None)
    assert "horse" not in str(raised.value)
    assert "horse" not in repr(raised.value.__cause__)


def test_keys_that_cannot_check(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    with pytest.raises(UsageError, match="is no public key"):
        key_trust(keys.private)
    with pytest.raises(UsageError, match="No such file"):
        key_trust(tmp_path / "absent.pub")


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = make_keys(tmp_path)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "ramekin.attestation.library", raising=False)
    for call in (lambda: key_signer(keys.private, None), lambda: key_trust(keys.public)):
        with pytest.raises(UsageError) as raised:
            call()
        assert raised.value.problems[0].hint == "install `ramekin[sign]`"


class FakeSigstore:
    """Stands where the library would ask Sigstore, which no test can."""

    tokens: list[str]

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def use_sigstore_signer(self, *, identity_token: str) -> "FakeSigstore":
        self.tokens.append(identity_token)
        return self

    def set_hashing_config(self, config: Any) -> None:
        self.config = config

    def sign(self, directory: Path, path: Path) -> None:
        raise RuntimeError("Sigstore is far away")


def bench(tmp_path: Path, **variables: str) -> Workbench:
    return Workbench(Environment.read({"HF_HOME": str(tmp_path)} | variables), Terminal())


def test_keyless_is_for_jobs_that_can_prove_who_they_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no identity to sign with") as raised:
        keyless_signer(bench(tmp_path))
    assert "id-token: write" in raised.value.problems[0].hint


def test_keyless_asks_for_a_token_when_it_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that goes without Sigstore: GitHub's token, made for it, and what it says is told."""
    from ramekin.trust.exchange import Exchange

    asked: list[tuple[str, str]] = []
    tokens: list[str] = []
    monkeypatch.setattr(signing, "needed", lambda: lambda: FakeSigstore(tokens))
    monkeypatch.setattr(
        Exchange, "proof_for", lambda self, whom, audience: asked.append((whom, audience)) or Secret("a.b.c")
    )
    job = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "http://localhost/x?y",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    }
    signer = keyless_signer(bench(tmp_path, **job))
    assert not asked, "a token lasts for minutes, and a merge for hours"
    directory = finished(tmp_path / "merged")
    with pytest.raises(PublishError, match="could not be signed by Sigstore: Sigstore is far away"):
        signer.write(directory, subject_of(directory).report)
    assert asked == [("Sigstore", "sigstore")]
    assert tokens == ["a.b.c"]
    assert not (directory / ATTESTATION).exists()


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just(base64.b64encode(b'{"subject": []}').decode()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dsseEnvelope", "payload", "payloadType", "verificationMaterial", "subject", "predicate"]),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_anything_else_is_no_attestation(value: Any) -> None:
    with pytest.raises(ValueError, match="it"):
        read_bundle(json.dumps(value).encode())


def test_statement_of_a_report_leaves_out_what_new_texts_change(tmp_path: Path) -> None:
    report = subject_of(finished(tmp_path / "merged")).report
    assert MANIFEST_COPY not in Statement.of(report).files
    assert REPORT not in Statement.of(report).files
