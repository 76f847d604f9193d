"""Where a run is to be carried out: a kind of machine on the Hub, with an image, a limit of time, and who pays."""

import re
from dataclasses import dataclass
from typing import Final

from ramekin.errors import UsageError
from ramekin.jobs.asked import Asked
from ramekin.text import printable

_KIND: Final = "hf-jobs"
DEFAULT_IMAGE: Final = "python:3.12"
DEFAULT_TIMEOUT: Final = "6h"
"""The Hub's own, half an hour, is less than a download of large models takes."""
_LONGEST: Final = 30 * 86_400
_FLAVOR: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][\w./:@-]{0,399}", re.ASCII)
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_TIME: Final = re.compile(r"(\d{1,7})\s*([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Place:
    """A kind of job on the Hub.

    Attributes:
        flavor: The Hub's name of the machine, such as `cpu-upgrade`.
        image: Container image with a Python of at least 3.11; ramekin is installed unless it is there.
        timeout: Seconds after which the Hub ends the job.
        namespace: Whose job it is; the token's user if None.
    """

    flavor: str
    image: str = DEFAULT_IMAGE
    timeout: int = 6 * 3600
    namespace: str | None = None

    def __str__(self) -> str:
        """As `--on` has it."""
        return f"{_KIND}:{self.flavor}"

    @classmethod
    def read(cls, text: str, asked: Asked) -> "Place":
        """The place that a text names, such as `hf-jobs:cpu-upgrade`.

        Raises:
            UsageError: It names none, or what was asked for beside it means nothing.
        """
        kind, _, flavor = text.partition(":")
        if kind != _KIND or not _FLAVOR.fullmatch(flavor):
            hint = "write `hf-jobs:FLAVOR`, such as `hf-jobs:cpu-upgrade`; `hf jobs hardware` lists all"
            raise UsageError(f"`{printable(text)}` is no place to run", hint)
        image, namespace = asked.image or DEFAULT_IMAGE, asked.namespace
        if not _IMAGE.fullmatch(image):
            raise UsageError(f"`{printable(image)}` is no container image", "write such as `python:3.12`")
        if namespace is not None and not _NAMESPACE.fullmatch(namespace):
            what = f"`{printable(namespace)}` is no namespace"
            raise UsageError(what, "write the name of the user or organization that the job is to belong to")
        return cls(flavor, image, _time(asked.timeout or DEFAULT_TIMEOUT), namespace)


def _time(text: str) -> int:
    """Seconds.

    Raises:
        UsageError: It is no time, or one that is too long.
    """
    found = _TIME.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise UsageError(f"`{printable(text)}` is no time for a job", "write such as `90m`, `6h` or `2d`, at most 30d")
    return seconds
