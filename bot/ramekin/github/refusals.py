"""What GitHub refuses, as errors of our own."""

from ramekin.errors import PublishError


class GitHubError(PublishError):
    """GitHub could not be asked, or refused."""


class ForbiddenError(GitHubError):
    """The token may not do this: the job's permissions, or a pull request of a fork."""


class RateLimitError(GitHubError):
    """GitHub wants no more requests for longer than a job should wait. The next run goes on from here."""


class ConflictError(GitHubError):
    """What was to be changed is no longer what it was when it was looked at."""
