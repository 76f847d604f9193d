"""What tests of publishing have: a merged directory, and an embedded Hub in this process."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publish_samples import KEY, lock_of, manifest_text, place

from ramekin.environment import Environment
from ramekin.hub import DEMO, Hub, User
from ramekin.hub import threads as hub_threads
from ramekin.hub.records import DEFAULT_BRANCH
from ramekin.hub.threads import Thread
from ramekin.plan.objections import Permissions
from ramekin.publish.committing import Published
from ramekin.publish.directory import publish_directory
from ramekin.terminal import Terminal
from ramekin.workbench import Workbench

GUEST = User("guest", "hf_guest_token_of_the_tests")


@dataclass
class Shop:
    """A merged directory, and the Hub that it is published to."""

    hub: Hub
    directory: Path
    home: Path
    repo: str

    def place(self, more: str = "", *, repo: str | None = None, card: str = "", key: str = KEY) -> None:
        """Write the directory: a merge for that repository, with more keys below `output`."""
        place(self.directory, manifest_text(repo or self.repo, more, card), lock_of(key))

    def bench(self, token: str = DEMO.token) -> Workbench:
        variables = {"HF_ENDPOINT": self.hub.url, "HF_TOKEN": token, "HF_HOME": str(self.home)}
        environment = Environment.read(variables | {"RAMEKIN_RETRY_WAIT": "0.001"})
        return Workbench(environment, Terminal(verbosity=-1))

    def publish(self, *, pr: bool = False, token: str = DEMO.token, **allowed: Any) -> Published:
        writer = self.bench(token).writer
        return publish_directory(writer, self.directory, Permissions(**allowed), pull_request=pr)

    @property
    def report(self) -> Any:
        return json.loads((self.directory / "ramekin/report.json").read_text())

    def threads(self) -> list[Thread]:
        found = self.hub.store.find(self.repo)
        return hub_threads.all_threads(found)[::-1] if found else []

    def said(self, num: int = 1) -> list[str]:
        """The comments of a pull request below the first, which is the description."""
        events = hub_threads.read_thread(self.hub.store.get(self.repo), str(num)).events
        return [one["data"]["latest"]["raw"] for one in events if one["type"] == "comment"][1:]

    def files(self, ref: str = DEFAULT_BRANCH, repo: str | None = None) -> dict[str, str]:
        """sha256 of every file at a revision."""
        found = self.hub.store.get(repo or self.repo)
        return {path: entry.sha256 for path, entry in found.tree(found.resolve(ref)).items()}

    def text(self, name: str, ref: str = DEFAULT_BRANCH, repo: str | None = None) -> str:
        """A published file."""
        return self.hub.store.blobs.read(self.files(ref, repo)[name]).decode()

    def forget(self) -> None:
        """Have the Hub forget what was asked of it. What was answered just now is noted just after."""
        time.sleep(0.05)
        self.hub.log.clear()

    def collected(self, title: str) -> list[str]:
        """What is in the collection of that title."""
        rows = [json.loads(path.read_bytes()) for path in (self.hub.store.root / "collections").glob("*/*.json")]
        return [item["id"] for row in rows if row["title"] == title for item in row["items"]]

    def commits(self, repo: str | None = None) -> list[str]:
        """Titles, newest first, without the one that the repository was created with."""
        found = self.hub.store.find(repo or self.repo)
        if found is None:
            return []
        history = found.history(found.resolve(DEFAULT_BRANCH))
        return [commit.title for commit in history if commit.title != "initial commit"]
