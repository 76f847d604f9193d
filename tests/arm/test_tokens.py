"""Tokens of spans, beside a reference that looks at every character."""

import pytest
from chats import tokenizer
from hypothesis import given
from hypothesis import strategies as st

from ramekin.arm.roles.tokens import check_offsets, role_positions, tokens_in, widened
from ramekin.errors import IncompatibleError

TEXTS = st.text('ab {}"🎉é\n:<', min_size=1, max_size=60)
PLAIN, TRIMMING = tokenizer(), tokenizer(trims=True)


def offsets_of(text: str, *, trims: bool = False) -> list[tuple[int, int]]:
    encoded = (TRIMMING if trims else PLAIN)(text, add_special_tokens=False, return_offsets_mapping=True)
    return [tuple(span) for span in encoded["offset_mapping"]]


@given(TEXTS, st.data(), st.sampled_from(["overlap", "within", "majority"]))
def test_policies(text: str, data: st.DataObject, policy: str) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    inside = set(range(start, end))
    expected = []
    offsets = offsets_of(text)
    for number, (first, last) in enumerate(offsets):
        shared, width = len(inside & set(range(first, last))), last - first
        taken = {"overlap": shared > 0, "within": shared == width, "majority": 2 * shared > width}[policy]
        if width and taken:
            expected.append(number)
    assert tokens_in((start, end), offsets, policy) == expected


@given(TEXTS)
def test_the_whole_text_is_all_tokens(text: str) -> None:
    offsets = offsets_of(text)
    assert tokens_in((0, len(text)), offsets) == list(range(len(offsets)))


def test_every_byte_of_a_character_is_taken() -> None:
    text = "a🎉b"
    taken = tokens_in((1, 2), offsets_of(text))
    assert len(taken) > 1
    assert {offsets_of(text)[number] for number in taken} == {(1, 2)}


@given(TEXTS.map(str.strip).filter(bool))
def test_spaces_that_a_tokenizer_leaves_out_belong_to_the_token_after_them(text: str) -> None:
    bare = offsets_of(text, trims=True)
    trimmed = widened(bare, text)
    assert {at for start, end in trimmed for at in range(start, end)} == set(range(len(text)))
    if " a" in text:
        assert trimmed != bare
    assert widened(offsets_of(text), text) == offsets_of(text)


def test_added_tokens_count_only_where_the_span_has_them() -> None:
    text = "x<tool_call>\n{}</tool_call><|im_end|>"
    offsets = offsets_of(text)
    ids = PLAIN(text, add_special_tokens=False)["input_ids"]
    start, end = text.index("<tool_call>"), text.index("<|im_end|>")
    words = PLAIN.convert_ids_to_tokens([ids[number] for number in tokens_in((start, end), offsets)])
    assert words[0] == "<tool_call>"
    assert words[-1] == "</tool_call>"
    inner = tokens_in((text.index("{"), text.index("}") + 1), offsets)
    assert "<tool_call>" not in PLAIN.convert_ids_to_tokens([ids[number] for number in inner])


def test_a_token_counts_once_and_a_cut_span_not_at_all() -> None:
    offsets = [(0, 2), (2, 4), (0, 0), (4, 6), (6, 8)]
    assert role_positions([(0, 3), (3, 5)], offsets, limit=5) == ([0, 1, 3], 0)
    assert role_positions([(0, 2), (4, 8)], offsets, limit=4) == ([0], 1)
    assert role_positions([(0, 2), (4, 6)], offsets, limit=4) == ([0, 3], 0)
    assert role_positions([], offsets, limit=5) == ([], 0)


def test_tokenizers_that_do_not_say_where_tokens_are() -> None:
    check_offsets([(0, 0), (0, 2)], [True, False])
    check_offsets([(0, 1)] * 99 + [(3, 3)], [False] * 100)
    with pytest.raises(IncompatibleError, match=r"ARM_BAD_OFFSETS: .* 2 of 4 tokens"):
        check_offsets([(0, 2), (2, 2), (3, 3), (3, 4)], [False] * 4)
