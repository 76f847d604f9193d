"""GitHub, for one repository. PyGithub is imported in this package alone."""

import logging
from typing import Self

from github import Auth, Github

from ramekin import __version__
from ramekin.errors import UsageError
from ramekin.github.access import Access
from ramekin.github.calls import Calls
from ramekin.github.history import History
from ramekin.github.pulls import Pulls
from ramekin.github.talk import Talk


class GitHub(Pulls, Talk, History):
    """One repository on GitHub: its pull requests, comments, issues, branches and files.

    Whatever reads is repeated while GitHub is busy or the network fails; what creates something is never sent twice
    without looking whether it is there. Waits that GitHub asks for are kept, up to a minute.
    """

    @classmethod
    def of(cls, access: Access, retry_wait: float = 1.0) -> Self:
        """A repository, as a token may see it.

        Args:
            access: The two.
            retry_wait: Seconds before the first repetition of a call that failed; doubled each time.

        Raises:
            UsageError: There is no token.
        """
        if access.token is None:
            raise UsageError("there is no token for GitHub", "leave out the input `github-token`, or give it a token")
        # At its lowest level it logs whole requests.
        logging.getLogger("github").setLevel(logging.WARNING)
        client = Github(
            base_url=access.api_url,
            auth=Auth.Token(access.token.reveal()),
            user_agent=f"ramekin/{__version__}",
            timeout=30,
            per_page=100,
            retry=None,
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=min(retry_wait, 1.0),
        )
        return cls(client, access.repository, Calls(retry_wait))
