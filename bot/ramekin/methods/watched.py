"""How neurons are watched, as manifests and reports have it: as in the paper (arXiv 2601.07309), or otherwise.

What is as in the paper is written into neither keys nor reports: both stay what they are without these parameters.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import PydanticKnownError

Saliency = Literal["abs", "abs_wout", "contrast"]
"""How much a neuron does: its magnitude, as in the paper; that times the length of its column in the output projection;
or what it is in the role beyond all that the assistant says."""


def _whole(value: object) -> object:
    """Neither `false`, which the validator takes for 0, nor `-1.0`."""
    if type(value) is not int:
        raise PydanticKnownError("literal_error", {"expected": "0 or -1"})
    return value


Shift = Annotated[Literal[0, -1], BeforeValidator(_whole)]
"""Where a token's neurons are watched: at the token itself, as in the paper, or at the one before, to predict it."""

SALIENCY: Final = (
    "how much a neuron does: `abs`, its magnitude; `abs_wout`, that times the length of its column in the output "
    "projection; `contrast`, its magnitude in the role less that in all that the assistant says"
)
SHIFT: Final = "where a token's neurons are watched: `0` at the token itself, `-1` at the one before, which predicts it"
"""The parameters' descriptions."""

_PAPERS: Final[Mapping[str, object]] = {"saliency": "abs", "shift": 0}
_IN_WORDS: Final[Mapping[Saliency, str]] = {
    "abs": "by the magnitude of a neuron in the role",
    "abs_wout": "by the magnitude of a neuron in the role times the length of its column in the output projection",
    "contrast": "by the magnitude of a neuron in the role less that in all that the assistant says",
}


class Watched(BaseModel):
    """Part of a report.

    Attributes:
        saliency: How much a neuron does.
        shift: At which token it is watched.
    """

    model_config = ConfigDict(defer_build=True)

    saliency: Saliency = "abs"
    shift: Shift = 0

    @model_serializer(mode="wrap")
    def _without_the_papers(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_the_papers(serialize(self))

    @property
    def watched(self) -> str:
        """The same in words, where it is not as in the paper; else nothing."""
        return watched_in_words(self.saliency, self.shift)


def without_the_papers(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is serialised, without what is as in the paper."""
    return {name: value for name, value in found.items() if name not in _PAPERS or value != _PAPERS[name]}


def watched_in_words(saliency: Saliency, shift: Shift) -> str:
    """How neurons are watched, to go on with in a sentence; nothing where it is as in the paper."""
    if (saliency, shift) == ("abs", 0):
        return ""
    return _IN_WORDS[saliency] + (", at the token before each of the role's" if shift else "")
