"""Tokenizers: equal by meaning, extended, or contradicting, in every kind of file that they come in."""

from typing import Any

import pytest
from memory_source import MemorySource

from ramekin.checkpoint.findings import Finding
from ramekin.checkpoint.tokenizer import check_tokenizer, compare_tokenizers
from ramekin.errors import DamagedError

VOCAB = {"a": 0, "b": 1, "ab": 2, "abb": 3, "c": 4}
MERGES = ["a b", "ab b"]
ADDED = [{"id": 5, "content": "<eos>", "special": True}]


def tokenizer(**changes: Any) -> dict[str, Any]:
    model = {"type": "BPE", "vocab": VOCAB, "merges": MERGES} | changes.pop("model", {})
    return {"version": "1.0", "added_tokens": ADDED, "pre_tokenizer": {"type": "ByteLevel"}, "model": model} | changes


BASE = {"tokenizer.json": tokenizer(), "tokenizer_config.json": {"chat_template": "{{ messages }}"}}


def compared(
    expert: dict[str, Any], base: dict[str, Any] = BASE, *, whole: bool = False, **kind: str
) -> tuple[Finding, ...]:
    mine, its = MemorySource(base).small(), MemorySource(expert, **kind).small()
    return compare_tokenizers(mine, its, "expert:x", whole=whole)


def test_equal_digests_are_not_read() -> None:
    base, expert = MemorySource({"tokenizer.json": tokenizer()}), MemorySource({"tokenizer.json": tokenizer()})
    assert compare_tokenizers(base.small(), expert.small(), "expert:x") == ()
    assert base.asked == expert.asked == []


def test_digests_of_two_kinds_are_settled_by_the_bytes() -> None:
    base = MemorySource({"tokenizer.json": tokenizer()})
    expert = MemorySource({"tokenizer.json": tokenizer()}, digest_kind="blob")
    assert compare_tokenizers(base.small(), expert.small(), "expert:x") == ()
    assert expert.asked == ["tokenizer.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.1", "truncation": None, "post_processor": {"type": "X"}},
        {"model": {"merges": [["a", "b"], ["ab", "b"]], "dropout": None}},
        {"model": {"vocab": VOCAB | {"<eos>": 5}}},
        {"added_tokens": [ADDED[0] | {"special": False, "lstrip": True}]},
        {"model": {"byte_fallback": False}},
    ],
)
def test_the_same_tokenizer_saved_by_another_release(changes: dict[str, Any]) -> None:
    assert compared({"tokenizer.json": tokenizer(**changes)}) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"vocab": VOCAB | {"ab": 3, "abb": 2}}}, "2 ids mean another token: 2 (`ab` in the base, `abb`"),
        ({"added_tokens": [{"id": 5, "content": "<pad>"}]}, "1 id means another token: 5 (`<eos>` in the base"),
        ({"added_tokens": [{"id": 4, "content": "<pad>"}]}, "4 (`c` in the base, `<pad>` here)"),
        ({"model": {"vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3}}}, "lacks 1 token of the base's: 4 (`c`)"),
        ({"model": {"vocab": {"z": 0}}}, "lacks 4 tokens of the base's: 1 (`b`), 2 (`ab`), 3 (`abb`), …"),
        ({"model": {"merges": ["b a", "a b"]}}, "1 of the base's are missing, 1 are new, such as `ab b`"),
        ({"model": {"merges": MERGES[::-1]}}, "the base's 2 merges in another order"),
        ({"model": {"merges": []}}, "2 of the base's are missing"),
        ({"model": {"vocab": VOCAB | {"a": 9, "\n::error::": 0}}}, "0 (`a` in the base, `\\n::error::` here)"),
    ],
)  # fmt: skip
def test_a_contradiction_is_an_error(changes: dict[str, Any], words: str) -> None:
    errors = [f for f in compared({"tokenizer.json": tokenizer(**changes)}) if f.severity == "error"]
    assert any(words in finding.what for finding in errors), errors
    assert all(finding.hint and finding.what.isprintable() for finding in errors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"added_tokens": [*ADDED, {"id": 6, "content": "<tool>"}]}, "has 1 token that the base has not"),
        ({"model": {"vocab": VOCAB | {"new": 7}}}, "has 1 token that the base has not"),
        ({"added_tokens": []}, "lacks 1 added token of the base's: 5 (`<eos>`)"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "prepares texts in another way (pre_tokenizer)"),
        ({"normalizer": {"type": "NFC"}}, "prepares texts in another way (normalizer)"),
        ({"model": {"ignore_merges": True}}, "prepares texts in another way (model)"),
    ],
)
def test_all_else_is_a_note(changes: dict[str, Any], words: str) -> None:
    (finding,) = compared({"tokenizer.json": tokenizer(**changes)})
    assert finding.severity == "note"
    assert words in finding.what


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"added_tokens": [*ADDED, {"id": 6, "content": "<tool>"}]}, "has 1 token that the base has not: 6 (`<tool>`)"),
        ({"model": {"vocab": VOCAB | {"new": 7}}}, "has 1 token that the base has not: 7 (`new`)"),
        ({"added_tokens": []}, "lacks 1 added token of the base's: 5 (`<eos>`)"),
    ],
)
def test_models_that_are_watched_have_the_same_added_tokens(changes: dict[str, Any], words: str) -> None:
    (finding,) = compared({"tokenizer.json": tokenizer(**changes)}, whole=True)
    assert finding.severity == "error"
    assert finding.what == words
    assert "watches no models" in finding.hint


def test_the_same_added_tokens_saved_otherwise_are_the_same() -> None:
    again = tokenizer(added_tokens=[ADDED[0] | {"special": False}])
    assert compared({"tokenizer.json": again}, whole=True) == ()


class TestOtherFiles:
    SLOW = {  # noqa: RUF012
        "vocab.json": VOCAB,
        "merges.txt": "#version: 0.2\na b\nab b\n",
        "added_tokens.json": {"<eos>": 5},
    }

    def test_vocab_and_merges_are_the_same_tokenizer(self) -> None:
        assert compared(self.SLOW) == ()
        assert compared(self.SLOW, self.SLOW) == ()
        assert compared({"tokenizer.json": tokenizer()}, self.SLOW) == ()

    def test_added_tokens_of_the_config_count(self) -> None:
        expert = {key: value for key, value in self.SLOW.items() if key != "added_tokens.json"}
        config = {"added_tokens_decoder": {"5": {"content": "<eos>"}, "x": {}, "7": 1}}
        assert compared(expert | {"tokenizer_config.json": config}) == ()

    def test_other_merges(self) -> None:
        (finding,) = compared(self.SLOW | {"merges.txt": "#version: 0.2\na b\n"})
        assert "1 of the base's are missing, 0 are new, such as `ab b`" in finding.what

    def test_wordpiece(self) -> None:
        assert compared({"vocab.txt": "a\nb\n"}, {"vocab.txt": "a\nb"}) == ()
        (finding,) = compared({"vocab.txt": "b\na"}, {"vocab.txt": "a\nb"})
        assert "2 ids mean another token" in finding.what

    def test_unigram(self) -> None:
        def unigram(score: float, piece: str = "b") -> dict[str, Any]:
            return {"tokenizer.json": {"model": {"type": "Unigram", "vocab": [["a", 0], [piece, score]]}}}

        assert compared(unigram(-1.5), unigram(-1.5000001)) == ()
        (finding,) = compared(unigram(-2.5), unigram(-1.5))
        assert "1 token has another score: 1 (`b`)" in finding.what
        assert "1 id means another token" in compared(unigram(-1.5, "c"), unigram(-1.5))[0].what

    def test_sentencepiece_by_its_bytes(self) -> None:
        base = {"tokenizer.json": tokenizer(), "tokenizer.model": b"\x0a\x01"}
        assert compared({"tokenizer.model": b"\x0a\x01"}, base) == ()
        (finding,) = compared({"tokenizer.model": b"\x0a\x02"}, base)
        assert finding.severity == "error"
        assert "`tokenizer.model` is another than the base's" in finding.what

    def test_what_cannot_be_compared_is_told(self) -> None:
        (finding,) = compared({"spiece.model": b"x"})
        assert finding.severity == "note"
        assert "the base has tokenizer.json, this expert spiece.model" in finding.what

    def test_an_expert_without_tokenizer_uses_the_base_s(self) -> None:
        assert compared({"config.json": {}}) == ()

    def test_a_base_without_tokenizer(self) -> None:
        (finding,) = check_tokenizer(MemorySource({"config.json": {}}).small())
        assert finding.severity == "note"
        assert compared(BASE, {"config.json": {}})[0].subject == "chat template"
        assert check_tokenizer(MemorySource(BASE).small()) == ()


class TestChatTemplates:
    @pytest.mark.parametrize(
        "files",
        [
            {"chat_template.jinja": "{{ messages }}\n"},
            {"chat_template.json": {"chat_template": "{{ messages }}"}},
            {"tokenizer_config.json": {"chat_template": [{"name": "default", "template": "{{ messages }}"}]}},
            {"tokenizer_config.json": {}},
            {},
        ],
    )
    def test_the_same_template_in_another_place_or_none(self, files: dict[str, Any]) -> None:
        assert compared(files) == ()

    @pytest.mark.parametrize(
        "files",
        [
            {"chat_template.jinja": "{{ other }}"},
            {"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": "{{ messages }}"}]}},
            {"tokenizer_config.json": {"chat_template": "{{ messages }} "}, "chat_template.jinja": "x"},
        ],
    )
    def test_another_template_is_a_note(self, files: dict[str, Any]) -> None:
        (finding,) = compared(files)
        assert (finding.severity, finding.subject) == ("note", "chat template")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "not a JSON object"),
        ({}, "no `model`"),
        ({"model": {"vocab": 5}}, "no vocabulary"),
        ({"model": {"vocab": {"a": "0"}}}, "no vocabulary"),
        ({"model": {"vocab": {"a": -1}}}, "no vocabulary"),
        ({"model": {"vocab": {"a": 2**70}}}, "no vocabulary"),
        ({"model": {"vocab": {"a": True}}}, "no vocabulary"),
        ({"model": {"vocab": [["a"]]}}, "tokens with scores"),
        ({"model": {"vocab": {}, "merges": [["a"]]}}, "not pairs"),
        ({"model": {"vocab": {}, "merges": "a b"}}, "not pairs"),
        ({"model": {"vocab": {}}, "added_tokens": [{"id": "1", "content": "x"}]}, "added token without"),
        ({"model": {"vocab": {}}, "added_tokens": {"a": 1}}, "not a list"),
    ],
)
def test_a_tokenizer_that_is_none_is_damaged(content: object, words: str) -> None:
    with pytest.raises(DamagedError, match=words) as caught:
        compared({"tokenizer.json": content})
    assert "org/name" in caught.value.problems[0].what
