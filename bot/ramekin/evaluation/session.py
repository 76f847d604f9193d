"""A conversation with the process that runs lm-evaluation-harness."""

import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from subprocess import Popen, TimeoutExpired
from typing import IO, Any, Final, Self

from ramekin.errors import EvaluationError
from ramekin.evaluation.children import Surroundings, Tell, child

# `-P`: what lies in the manifest's directory is no module that is meant here, whatever it is called.
_PROGRAM: Final = (sys.executable, "-P", "-m", "ramekin.evaluation.harness_process")
_AGAIN: Final = "see what it says with --verbose; the same command goes on from here"


class Session:
    """The process, started when it is first asked; it ends with the block.

    Args:
        surroundings: Where it works, and with what.
        tell: Is given each line of what it says beside its answers.
    """

    def __init__(self, surroundings: Surroundings, tell: Tell) -> None:
        self._surroundings = surroundings
        self._tell = tell
        self._stack = ExitStack()
        self._process: Popen[bytes] | None = None
        self._answers: queue.Queue[bytes | None] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._process = None

    def ask(self, request: Mapping[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
        """What is answered, piece by piece; the last piece, which says that it is, is left out.

        Args:
            request: What is asked.
            timeout: Seconds that all of it may take.

        Raises:
            AnswerError: It cannot be answered.
            EvaluationError: It takes too long, or the process has ended.
        """
        process = self._started()
        assert process.stdin  # noqa: S101 - asked for
        until = time.monotonic() + timeout
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self.__exit__()
                raise EvaluationError(
                    f"lm-evaluation-harness took more than {timeout:.0f} seconds",
                    "let it take longer with `evaluate.timeout`, or do less with `limit`",
                ) from None
            if line is None:
                raise self._ended()
            answer = json.loads(line)
            if answer.get("done"):
                return
            if "error" in answer:
                raise AnswerError(str(answer["error"]), str(answer["what"]))
            yield answer

    def _started(self) -> Popen[bytes]:
        if self._process is None:
            self._process = self._stack.enter_context(child(_PROGRAM, self._surroundings, self._tell, answers=True))
            self._answers = queue.Queue()
            assert self._process.stdout  # noqa: S101 - asked for
            threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process

    def _ended(self) -> EvaluationError:
        """It has ended, and nobody has asked it to."""
        process = self._started()
        try:
            code = process.wait(1)
        except TimeoutExpired:
            code = 0
        self.__exit__()
        how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
        if code == -9:
            return EvaluationError(f"lm-evaluation-harness {how}, maybe for want of memory", "use a larger machine")
        return EvaluationError(f"lm-evaluation-harness {how}", _AGAIN)


class AnswerError(Exception):
    """What was asked cannot be answered.

    Attributes:
        kind: In what way: `memory`, `source`, `unsafe`, `empty` or `failed`.
        what: Why, in one line.
    """

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what


def _pass_on(stream: IO[bytes], answers: "queue.Queue[bytes | None]") -> None:
    try:
        for line in stream:
            answers.put(line)
    except (OSError, ValueError):
        pass  # it was closed here
    answers.put(None)
