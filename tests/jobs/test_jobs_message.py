"""A job's outcome in its log: whatever order, repetition and noise its lines come with."""

import hashlib
import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ramekin.jobs.message import Envelope, encode, is_mark, new_mark

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=50) | st.lists(st.text(max_size=9), max_size=3)


@given(
    st.dictionaries(st.text(max_size=9), VALUES, max_size=5),
    st.lists(st.text(max_size=50), max_size=5),
    st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_a_message_comes_through_any_log(message: dict[str, object], noise: list[str], order: int) -> None:
    mark = new_mark()
    lines = [*encode(mark, message), *encode(mark, message), *noise]
    random.Random(order).shuffle(lines)  # noqa: S311
    envelope = Envelope(mark)
    for line in lines:
        envelope.take(f" {line}\r")
    assert envelope.message == json.loads(json.dumps(message))


def test_a_long_message_is_cut_into_short_lines_and_needs_all_of_them() -> None:
    mark, message = new_mark(), {"text": hashlib.shake_256(b"long").hexdigest(10_000)}
    lines = encode(mark, message)
    assert len(lines) > 2
    assert max(map(len, lines)) < 4096
    envelope = Envelope(mark)
    for line in lines[:-1]:
        assert envelope.take(line)
    assert envelope.message is None
    envelope.take(lines[-1])
    assert envelope.message == message


def test_what_has_another_mark_or_makes_no_sense_is_no_message() -> None:
    mark = new_mark()
    envelope = Envelope(mark)
    (line,) = encode(new_mark(), {"code": 0})
    assert not envelope.take(line)
    for nonsense in ("", "1/1:", "1/1:!!!!", "2/1:eJw=", "0/0:eJw=", "1/1:eJw=", "1/99999:eJw=", "1/1:bm90aGluZw=="):
        assert envelope.take(f"{mark}:{nonsense}:{mark}")
        assert envelope.message is None
    assert envelope.take(encode(mark, {"code": 0})[0])
    assert envelope.message == {"code": 0}


def test_marks_are_made_up_anew() -> None:
    assert is_mark(new_mark())
    assert new_mark() != new_mark()
    assert not any(map(is_mark, (None, "", "ramekin-", "ramekin-" + "g" * 32, new_mark() + "\n", 3)))
