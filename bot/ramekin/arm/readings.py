"""What is read for each thing that is measured, and what it is kept by.

The key of a measurement has all that decides it, and nothing else: what comes after the last token of a role is not
read, and so is no part of it.
"""

from collections.abc import Mapping, Sequence

from ramekin.arm.halving import HALVES, halved
from ramekin.arm.measure import Measure
from ramekin.arm.measured import JUDGED, TRACED, Kind
from ramekin.arm.reading import Material
from ramekin.arm.store import prompts_digest, reading_digest, saliency_key
from ramekin.arm.texts import Text, contrasted, only, together


class Readings:
    """The texts of all benchmarks.

    Args:
        materials: What the benchmarks have to read, by name, with those tokens that are watched.
        dtype: Element type that the models are run in.
        measure: By which measure neurons are watched.
        by_length: Whether the models turn otherwise in a longer text, and so read each alone (`arm.positions`).
    """

    def __init__(
        self, materials: Mapping[str, Material], dtype: str, measure: Measure, *, by_length: bool = False
    ) -> None:
        self._materials = materials
        self._dtype = f"{dtype}, each text alone" if by_length else dtype
        self._measure = measure
        self._by_length = by_length
        self._watched = {name: self._of(material) for name, material in materials.items()}
        self._halved = {name: halved(texts, whole=by_length) for name, texts in self._watched.items()}
        self._judged: dict[tuple[str, Kind], tuple[Text, ...]] = {}
        for name, material in materials.items():
            if material.dev:
                self._judged[name, "loss"] = together({"loss": material.dev})
            if material.kept:
                self._judged[name, "kept"] = together({"loss": material.kept})

    def _of(self, material: Material) -> tuple[Text, ...]:
        """The role, and all that the assistant says, in which it is watched too or which it is contrasted with."""
        roles = {"role": material.role} | ({"said": material.said} if material.said else {})
        texts = together(roles, by_task=material.by_task)
        return contrasted(texts, "role", "said") if self._measure.contrasts else texts

    def traced(self, name: str, kinds: Sequence[Kind]) -> list[Text]:
        """The texts that neurons are watched in; where halves are wanted, the role is that of one or of the other."""
        by_half = "halves" in kinds
        roles = {"said"} & {*kinds} | ({*HALVES} if by_half else {"role"} & {*kinds})
        return only((self._halved if by_half else self._watched)[name], roles)

    def judged(self, name: str, kind: Kind) -> tuple[Text, ...]:
        """The texts by which likelihood is told; none where there are none."""
        return self._judged.get((name, kind), ())

    def tokens(self, wanted: Mapping[str, Sequence[Kind]]) -> int:
        """How many tokens a model will read for what is wanted, answers apart."""
        count = 0
        for name, kinds in wanted.items():
            count += sum(text.needed for text in self.traced(name, kinds))
            count += sum(text.needed for kind in kinds for text in self.judged(name, kind))
        return count

    def key(self, digest: str, name: str, kind: Kind) -> str:
        """What a measurement is kept by.

        Args:
            digest: Of all that determines the model's weights.
            name: The benchmark.
            kind: What is measured.
        """
        if kind == "halves":  # which text is in which of them is decided by what is read, and so is part of the key
            reading = self._read(self._watched[name], "role")
            return saliency_key(digest, reading, self._dtype, kind, self._measure.part_of_key())
        if kind in TRACED:
            measure = self._measure.part_of_key(said=kind == "said")
            return saliency_key(digest, self._read(self._watched[name], kind), self._dtype, measure=measure)
        if kind in JUDGED:
            reading = self._read(self._judged[name, kind], "loss", ordered=True)
            return saliency_key(digest, reading, self._dtype, "loss")
        material = self._materials[name]
        asked = [(prompt.ids, prompt.answer) for prompt in material.prompts]
        return saliency_key(digest, prompts_digest(asked, material.judge, material.longest), self._dtype, kind)

    def _read(self, texts: Sequence[Text], role: str, *, ordered: bool = False) -> str:
        return reading_digest(texts, role, ordered=ordered, whole=self._by_length)
