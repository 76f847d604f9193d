"""GitHub, as far as the Action needs it: one repository, through PyGithub, with errors of our own."""

from ramekin.action.github.client import GitHub
from ramekin.action.github.records import Comment, Commit, Issue, Pull
from ramekin.action.github.refusals import ConflictError, ForbiddenError, GitHubError, RateLimitError

__all__ = [
    "Comment",
    "Commit",
    "ConflictError",
    "ForbiddenError",
    "GitHub",
    "GitHubError",
    "Issue",
    "Pull",
    "RateLimitError",
]
