"""What the model sees of a trajectory, and where in it the assistant speaks.

The rendered text is what is parsed, not the messages: templates trim, drop earlier thoughts, and write calls of tools
their own way. Only what the assistant says is parsed: system prompts and users show examples of calls as well.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ramekin.arm.roles.parsers import Span
from ramekin.arm.roles.trajectories import Message, Trajectory
from ramekin.errors import IncompatibleError

DATE: Final = "26 Jul 2024"
"""What templates that write today's date get: otherwise the tokens would change every day."""

_FIRST, _REPLY, _SECOND, _ANSWER = "zebrawood", "quincequartz", "plumbagodune", "velvetknot"
_PROBE: Final[Sequence[Message]] = (
    {"role": "user", "content": _FIRST},
    {"role": "assistant", "content": _REPLY},
    {"role": "user", "content": _SECOND},
    {"role": "assistant", "content": _ANSWER},
)
_THOUGHTS: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_MARKED: Final = re.compile(r"\{%-?\s*generation\s*-?%\}")


class DroppedError(Exception):
    """A trajectory that cannot be used, with the reason; others go on."""


@dataclass(frozen=True)
class Rendered:
    """What the model sees.

    Attributes:
        text: All of it.
        turns: Where the assistant speaks, by the index of its message.
    """

    text: str
    turns: Mapping[int, Span]


@dataclass(frozen=True)
class Markers:
    """What a template writes before and after what the assistant says."""

    prefix: str
    suffix: str


class Renderer:
    """Renders trajectories through a chat template.

    Args:
        tokenizer: Of the transformers library, a fast one.
        template: Instead of the tokenizer's own template.
        markers: Instead of what the template is found to write around the assistant's turns.
        settings: Variables for the template.
        tools: Whether trajectories have tools: some tokenizers have a template for these.

    Raises:
        IncompatibleError: There is no template, it cannot render a plain chat, or one cannot see where the assistant
            speaks.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        template: str | None = None,
        markers: Markers | None = None,
        settings: Mapping[str, Any] | None = None,
        tools: bool = False,
    ) -> None:
        found = template or tokenizer.chat_template
        if isinstance(found, dict):
            found = (found.get("tool_use") if tools else None) or found.get("default")
        if not isinstance(found, str):
            raise IncompatibleError(
                "the tokenizer has no chat template", "name one in the manifest, or give trajectories as `text`"
            )
        self.template = found
        self._tokenizer = tokenizer
        self._settings = {"date_string": DATE} | dict(settings or {})
        # None where the template marks itself what the assistant says.
        self._markers = markers or (None if self._marks_well() else self._probed())

    def render(self, trajectory: Trajectory) -> Rendered:
        """Render a trajectory and find the assistant in it.

        Raises:
            DroppedError: The template refuses it, or what is found is not what was said.
        """
        try:
            text, spans = self._apply(
                trajectory.messages, trajectory.tools, trajectory.settings, marked=self._markers is None
            )
        except Exception as error:  # templates are programs, and raise what they like
            raise DroppedError(f"the template refuses it: {str(error).splitlines()[0][:200] or error!r}") from error
        if self._markers:
            spans = list(_scan(text, self._markers))
        turns = trajectory.turns
        if len(spans) != len(turns):
            raise DroppedError(f"the assistant speaks {len(turns)} times, and {len(spans)} are found in the text")
        for index, (start, end) in zip(turns, spans, strict=True):
            message = trajectory.messages[index]
            if not message.get("tool_calls") and _bare(text[start:end]) != _bare(plain_text(message)):
                raise DroppedError(f"the template does not write what message {index + 1} says")
        return Rendered(text, dict(zip(turns, spans, strict=True)))

    def _apply(
        self, messages: Any, tools: Any = None, settings: Mapping[str, Any] | None = None, *, marked: bool = False
    ) -> tuple[str, list[Span]]:
        """The text, and what the template has marked in it if that is asked for."""
        from transformers.utils.chat_template_utils import render_jinja_template

        made: Any = render_jinja_template(
            conversations=[[dict(message) for message in messages]],
            tools=list(tools) if tools else None,
            chat_template=self.template,
            return_assistant_tokens_mask=marked,
            **self._tokenizer.special_tokens_map,
            **(self._settings | dict(settings or {})),
        )
        texts, ranges = made
        return texts[0], [(start, end) for start, end in ranges[0]] if marked else []

    def _marks_well(self) -> bool:
        """Whether the template marks what the assistant says, and not also what stands around it."""
        if not _MARKED.search(self.template):
            return False
        try:
            text, spans = self._apply(_PROBE, marked=True)
        except Exception:  # noqa: BLE001 - probing will tell
            return False
        return [_bare(text[start:end]) for start, end in spans] == [_REPLY, _ANSWER]

    def _probed(self) -> Markers:
        """Have a chat of known words rendered, and see what stands around the assistant's."""
        try:
            whole, _ = self._apply(_PROBE)
            alone, _ = self._apply(_PROBE[:1])
            _, after_first = _around(whole, _FIRST)
            between, after_reply = _around(after_first, _REPLY)
            before_second, rest = _around(after_reply, _SECOND)
            _, end = _around(rest, _ANSWER)
            _, ending = _around(alone, _FIRST)
        except Exception as error:
            raise self._unclear() from error
        # What ends the user's turn is no part of what begins the assistant's, unless nothing else does.
        prefix = between[len(_common(between, ending)) :]
        prefix = prefix if prefix.strip() else between
        suffix = _common(before_second, end)
        if not prefix.strip() or not suffix.strip():
            raise self._unclear()
        return Markers(prefix, suffix)

    def _unclear(self) -> IncompatibleError:
        return IncompatibleError(
            "one cannot see where the chat template lets the assistant speak",
            "give `assistant_prefix` and `assistant_suffix` in the manifest, or trajectories as `text` with spans",
        )


def _scan(text: str, markers: Markers) -> Iterator[Span]:
    """What stands between the markers; nothing need end the last turn."""
    at = text.find(markers.prefix)
    while at >= 0:
        start = at + len(markers.prefix)
        end = text.find(markers.suffix, start)
        end = len(text) if end < 0 else end
        yield start, end
        at = text.find(markers.prefix, end)


def _around(text: str, word: str) -> tuple[str, str]:
    before, found, after = text.partition(word)
    if not found or word in after:
        raise ValueError(word)
    return before, after


def _common(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def plain_text(message: Message) -> str:
    """What a message says, without pictures and calls."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def _bare(text: str) -> str:
    """Without thoughts, which templates drop from earlier turns and add to the last."""
    return _THOUGHTS.sub("", text).strip()
