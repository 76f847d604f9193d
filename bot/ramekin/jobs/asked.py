"""What the environment says about jobs on the Hub; options of the command line count before it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What was asked for, by variables or options; checked where a place is made of it.

    Attributes:
        image: `RAMEKIN_JOB_IMAGE`: the container image.
        timeout: `RAMEKIN_JOB_TIMEOUT`: after which time the Hub ends the job, such as `6h`.
        namespace: `RAMEKIN_JOB_NAMESPACE`: the user or organization whose job it is, and who pays.
    """

    image: str | None = None
    timeout: str | None = None
    namespace: str | None = None

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Asked":
        """What the variables say."""
        image, timeout, namespace = (
            (env.get(f"RAMEKIN_JOB_{name}") or "").strip() or None for name in ("IMAGE", "TIMEOUT", "NAMESPACE")
        )
        return cls(image, timeout, namespace)

    def over(self, other: "Asked") -> "Asked":
        """This, and what another says where this says nothing."""
        return Asked(self.image or other.image, self.timeout or other.timeout, self.namespace or other.namespace)
