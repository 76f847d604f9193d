"""What libraries print in a step's log is obeyed by no runner, and shows no token."""

import io
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner_protocol import commands

from ramekin.action.aside import aside

_PIECES = st.lists(st.sampled_from(["::stop-commands::a", ":", "::", "\n", "\r", " ", "##[", "x", "\u2028", "set::"]))


@given(out=_PIECES, err=_PIECES)
def test_no_piece_of_text_becomes_a_command(out: list[str], err: list[str]) -> None:
    log = io.StringIO()
    with aside(log, str):
        for piece in out:
            sys.stdout.write(piece)
        for piece in err:
            sys.stderr.write(piece)
            sys.stderr.flush()
    assert commands(log.getvalue()) == []
    assert "##[" not in log.getvalue()


def test_what_is_logged_is_text_without_tokens() -> None:
    log = io.StringIO()
    with aside(log, lambda text: text.replace("a-token", "***")):
        handler = logging.StreamHandler()
        handler.emit(logging.makeLogRecord({"msg": "evil\n::set-output name=url::https://evil.example"}))
        print("a-token\n::stop-commands::a", file=sys.stderr)
        print("no end", end="")
    told = log.getvalue()
    assert commands(told) == []
    assert ": :set-output name=url" in told
    assert "***" in told
    assert "a-token" not in told
    assert told.endswith("no end\n")


def test_what_is_raised_within_passes_through() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyboardInterrupt), aside(io.StringIO(), str):
        raise KeyboardInterrupt
    assert (sys.stdout, sys.stderr) == before
