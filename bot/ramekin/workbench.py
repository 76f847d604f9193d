"""What every command works with: environment, Hub, digests, downloads, progress. Made once, passed on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.digests import DigestMemory
from ramekin.environment import Environment
from ramekin.terminal import Terminal

if TYPE_CHECKING:
    from ramekin.client import HubClient
    from ramekin.merge.team import Team
    from ramekin.publish.writer import HubWriter
    from ramekin.sources import SourceMemory, Sources
    from ramekin.store import BlobStore


@dataclass(frozen=True)
class Workbench:
    """The tools of one command. What is heavy is made when it is first used.

    Attributes:
        environment: What the environment says.
        terminal: Where output goes.
        team: The processes that share the work; None for one alone.
        memory: What was already asked of sources on the Hub; None to ask each time.
    """

    environment: Environment
    terminal: Terminal
    team: "Team | None" = None
    memory: "SourceMemory | None" = None

    @cached_property
    def client(self) -> "HubClient":
        """The Hub, for reading."""
        from ramekin.client import HubClient
        from ramekin.trust.bearers import for_reading

        client = HubClient(self.environment, for_reading(self.environment, self.terminal.hide))
        self.terminal.hide(client.secrets())
        return client

    @cached_property
    def writer(self) -> "HubWriter":
        """The Hub, for writing: made only by what publishes."""
        from ramekin.publish.writer import HubWriter
        from ramekin.trust.bearers import for_writing

        writer = HubWriter(self.environment, for_writing(self.environment, self.terminal.hide))
        self.terminal.hide(writer.secrets())
        return writer

    def publishing_to(self, repo: str) -> "HubWriter":
        """The Hub, for writing to one repository; with trusted publishing it is found out now whether there is a token.

        Raises:
            PublishError: There is none.
        """
        self.writer.aim(repo)
        return self.writer

    @cached_property
    def digests(self) -> DigestMemory:
        """Digests of local files that were taken before."""
        return DigestMemory(self.environment.state / "digests.json")

    @cached_property
    def store(self) -> "BlobStore":
        """Downloaded files."""
        from ramekin.store import BlobStore

        return BlobStore(self.environment.state / "blobs", self.digests, self.environment.cache)

    def sources(self, root: Path) -> "Sources":
        """Opens sources; relative paths start at `root`."""
        from ramekin.sources import Sources

        return Sources(lambda: self.client, root, self.store, self.terminal, self.memory)
