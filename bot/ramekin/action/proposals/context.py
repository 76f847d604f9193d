"""What updating all manifests of one job has in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ramekin.action.current import Current
from ramekin.action.job import Job
from ramekin.action.proposals.wording import Days, Writer
from ramekin.lock.file import lock_path, write_lock
from ramekin.lock.making import LockPolicy
from ramekin.lock.model import Lock

FROM_LOCK: Final = LockPolicy(locked=True, write=False)
"""By the lock that lies there, which `Context.locked` puts there for that."""


@dataclass(frozen=True)
class Context:
    """One job's surroundings.

    Attributes:
        job: The job.
        current: The default branch as it is now.
        now: The time, by GitHub's clock.
        days: Knows the days of commits on the Hub.
    """

    job: Job
    current: Current
    now: datetime
    days: Days

    @property
    def cooldown(self) -> timedelta:
        """How long a source has to be seen unchanged."""
        return timedelta(hours=self.job.settings.inputs.cooldown)

    def writer(self, manifest: Path) -> Writer:
        """What writes about a manifest."""
        environment = self.job.bench.environment
        return Writer(manifest, environment.endpoint, self.days, self.job.settings.inputs.cooldown)

    @contextmanager
    def locked(self, manifest: Path, lock: Lock) -> Iterator[None]:
        """Have another lock beside a manifest for a while, for what plans and runs by the one that it finds there."""
        path = self.current.root / lock_path(manifest)
        before = path.read_bytes() if path.is_file() else None
        try:
            write_lock(path, lock)
            yield
        finally:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(before)
