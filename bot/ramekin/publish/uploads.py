"""Files of a merge that are uploaded as soon as they are finished, long before the commit that publishes them."""

from pathlib import Path
from typing import TYPE_CHECKING

from ramekin.plan.standing import Standing
from ramekin.records import FileRecord

if TYPE_CHECKING:
    from ramekin.publish.writer import HubWriter


class Uploads:
    """Finished files on the Hub that no commit names yet.

    Args:
        client: The Hub.
        standing: The repository as the plan saw it; it is made when the first file comes.
        private: Whether it is made so that nobody else sees it.
        pull_request: Whether a pull request will publish them.
    """

    def __init__(self, client: "HubWriter", standing: Standing, *, private: bool, pull_request: bool) -> None:
        self._client = client
        self._repo = standing.target.repo
        self._exists = standing.target.exists
        self._private = private
        self._done: set[str] = set()
        self._pull_request = pull_request

    def put(self, path: Path, record: FileRecord) -> None:
        """Upload a file, and delete it once the Hub has it. One that the Hub takes for a small one stays.

        Raises:
            PublishError: The Hub refuses, or cannot be reached.
        """
        if not self._exists:
            self._client.create_repo(self._repo, private=self._private)
            self._exists = True
        if self._client.upload(self._repo, path.name, path, record, pull_request=self._pull_request):
            self._done.add(record.sha256)
            path.unlink()

    def has(self, record: FileRecord) -> bool:
        """Whether the Hub has a file already; of an earlier run's it is asked each time.

        Raises:
            PublishError: The Hub cannot be reached.
        """
        return record.sha256 in self._done or (self._exists and self._client.holds(self._repo, record))
