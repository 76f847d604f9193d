"""What happens on GitHub when somebody does something: pull requests follow their branches, merges make commits."""

from collections.abc import Iterable, Mapping

from tests.github.gitdir import Identity
from tests.github.state import Comment, Issue, Pull, Repository, State

WEB = Identity("GitHub", "noreply@github.com")
"""Committer of what is committed through GitHub itself."""
LONGEST = 65_536
"""Characters of a comment, or of the text of an issue."""


class RefusedError(Exception):
    """GitHub refuses.

    Attributes:
        status: Of the answer.
        message: What GitHub says.
        errors: In detail.
    """

    def __init__(self, status: int, message: str, *errors: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = [{"message": each, "resource": "", "code": "custom"} for each in errors]
        if fields:
            self.errors.append({"message": "", "resource": "", "code": "invalid"} | dict(fields))


def fork_point(repository: Repository, pull: Pull) -> str:
    """Where a pull request's branch left its base."""
    return repository.git.merge_base(pull.base_commit, pull.head) or pull.base_commit


def mergeable(repository: Repository, pull: Pull) -> bool:
    base = repository.git.ref(f"refs/heads/{pull.base}")
    return base is not None and repository.git.merge_tree(base, pull.head) is not None


# Branches


def set_ref(state: State, repository: Repository, name: str, sha: str | None) -> None:
    """Move, make or delete a ref, and let pull requests follow."""
    if sha is None:
        repository.git.delete_ref(name)
    else:
        repository.git.set_ref(name, sha)
    if not name.startswith("refs/heads/"):
        return
    branch = name.removeprefix("refs/heads/")
    for other in state.repositories.values():
        for issue in list(other.pulls()):
            pull = issue.pull
            if not pull or issue.state != "open":
                continue
            if pull.head_repository == repository.name and pull.branch == branch:
                _head_moved(state, other, issue, repository, sha)
            elif other is repository and pull.base == branch and sha:
                _base_moved(state, other, issue, sha)


def _head_moved(state: State, into: Repository, issue: Issue, source: Repository, sha: str | None) -> None:
    pull = issue.pull
    assert pull
    issue.updated = state.at()
    if sha is None:
        close(state, issue)
        return
    into.git.take(source.git, sha)
    pull.head = sha
    into.git.set_ref(f"refs/pull/{issue.number}/head", sha)
    if into.git.is_ancestor(sha, f"refs/heads/{pull.base}"):
        close(state, issue)  # nothing is left of it
        return
    _test_merge(state, into, issue)


def _base_moved(state: State, repository: Repository, issue: Issue, sha: str) -> None:
    pull = issue.pull
    assert pull
    if repository.git.is_ancestor(pull.head, sha):
        _merged(state, issue, pull.head, None)
        return
    _test_merge(state, repository, issue)


def _test_merge(state: State, repository: Repository, issue: Issue) -> None:
    """The commit that workflows run for: the pull request as if it were merged."""
    pull = issue.pull
    assert pull
    name = f"refs/pull/{issue.number}/merge"
    base = repository.git.ref(f"refs/heads/{pull.base}")
    tree = repository.git.merge_tree(base, pull.head) if base else None
    if not tree or not base:
        repository.git.delete_ref(name)
        return
    who = state.user(issue.author).identity
    message = f"Merge {pull.head} into {base}"
    repository.git.set_ref(name, repository.git.write_commit(tree, [base, pull.head], message, who, WEB, state.at()))


def commit_files(
    state: State,
    repository: Repository,
    parent: str | None,
    message: str,
    files: Mapping[str, bytes | None],
    who: Identity,
) -> str:
    """A commit that changes these files; None deletes one."""
    return repository.git.write_files(parent, message, files, who, state.at())


# Issues and pull requests


def open_issue(state: State, repository: Repository, author: str, title: str, body: str) -> Issue:
    if not repository.has_issues:
        raise RefusedError(410, "Issues has been disabled in this repository.")
    if not title:
        raise RefusedError(422, "Validation Failed", "title can't be blank")
    return _numbered(state, repository, author, title, body)


def open_pull(
    state: State, repository: Repository, author: str, head: tuple[Repository, str], base: str, texts: tuple[str, str]
) -> Issue:
    """Open a pull request from a branch of a repository."""
    source, branch = head
    tip, target = source.git.ref(f"refs/heads/{branch}"), repository.git.ref(f"refs/heads/{base}")
    for name, found in (("head", tip), ("base", target)):
        if found is None:
            raise RefusedError(422, "Validation Failed", fields={"field": name})
    assert tip
    assert target
    if any(
        each.state == "open"
        and each.pull
        and (each.pull.head_repository, each.pull.branch) == (source.name, branch)
        and each.pull.base == base
        for each in repository.pulls()
    ):
        raise RefusedError(422, "Validation Failed", f"A pull request already exists for {source.owner}:{branch}.")
    repository.git.take(source.git, tip)
    if repository.git.is_ancestor(tip, target):
        raise RefusedError(422, "Validation Failed", f"No commits between {base} and {branch}")
    issue = _numbered(state, repository, author, *texts)
    issue.pull = Pull(source.name, branch, tip, base, target)
    repository.git.set_ref(f"refs/pull/{issue.number}/head", tip)
    _test_merge(state, repository, issue)
    return issue


def _numbered(state: State, repository: Repository, author: str, title: str, body: str) -> Issue:
    check_length(body)
    number = max(repository.issues, default=0) + 1
    repository.issues[number] = Issue(number, author, title, body, state.at(), state.at())
    return repository.issues[number]


def check_length(body: str) -> None:
    if len(body) > LONGEST:
        raise RefusedError(422, "Validation Failed", f"body is too long (maximum is {LONGEST} characters)")


def close(state: State, issue: Issue) -> None:
    issue.state, issue.closed, issue.updated = "closed", state.at(), state.at()


def reopen(state: State, issue: Issue) -> None:
    if issue.pull and issue.pull.merged:
        raise RefusedError(422, "Validation Failed", "The pull request cannot be reopened.")
    issue.state, issue.closed, issue.updated = "open", None, state.at()


def merge(state: State, repository: Repository, issue: Issue, by: str, method: str = "merge") -> str:
    """Merge a pull request; returns what its base is at then."""
    pull = issue.pull
    assert pull
    git, who, at = repository.git, state.user(by).identity, state.at()
    base = git.ref(f"refs/heads/{pull.base}")
    tree = git.merge_tree(base, pull.head) if base else None
    if issue.state != "open" or not base or not tree:
        raise RefusedError(405, "Pull Request is not mergeable")
    message = f"Merge pull request #{issue.number} from {pull.head_repository}/{pull.branch}\n\n{issue.title}"
    if method == "squash":
        made = git.write_commit(tree, [base], f"{issue.title} (#{issue.number})", who, WEB, at)
    elif method == "rebase":
        made = git.rebased(base, pull.head, who, at)
    else:
        made = git.write_commit(tree, [base, pull.head], message, who, WEB, at)
    _merged(state, issue, made, by)
    set_ref(state, repository, f"refs/heads/{pull.base}", made)
    return made


def _merged(state: State, issue: Issue, commit: str, by: str | None) -> None:
    assert issue.pull
    issue.pull.merged, issue.pull.merge_commit, issue.pull.merged_by = state.at(), commit, by
    close(state, issue)


def pulls_with(repository: Repository, commit: str) -> Iterable[Issue]:
    """Pull requests that a commit belongs to: those it came with, else open ones that have it."""
    merged = [
        each
        for each in repository.pulls()
        if each.pull and each.pull.merged and _brought(repository, each.pull, commit)
    ]
    if merged or repository.git.is_ancestor(commit, f"refs/heads/{repository.default}"):
        return merged
    return [
        each
        for each in repository.pulls()
        if each.pull and each.state == "open" and _within(repository, each.pull.base_commit, each.pull.head, commit)
    ]


def _brought(repository: Repository, pull: Pull, commit: str) -> bool:
    return commit == pull.merge_commit or _within(repository, fork_point(repository, pull), pull.head, commit)


def _within(repository: Repository, base: str, head: str, commit: str) -> bool:
    git = repository.git
    return git.is_ancestor(commit, head) and not git.is_ancestor(commit, base)


# Comments


def comment(state: State, issue: Issue, author: str, body: str) -> Comment:
    if not body.strip():
        raise RefusedError(422, "Validation Failed", "body can't be blank")
    check_length(body)
    made = Comment(state.id(), author, body, state.at(), state.at())
    issue.comments.append(made)
    issue.updated = made.created
    return made


def edit_comment(state: State, comment: Comment, body: str) -> None:
    check_length(body)
    comment.body, comment.updated = body, state.at()


def find_comment(repository: Repository, number: int) -> tuple[Issue, Comment] | None:
    return next(
        ((issue, each) for issue in repository.issues.values() for each in issue.comments if each.id == number), None
    )


def check_update(repository: Repository, name: str, sha: str, *, force: bool) -> None:
    """Whether a branch may be moved there through the interface."""
    git = repository.git
    now = git.ref(name)
    if now is None:
        raise RefusedError(422, "Reference does not exist")
    if not git.has(sha):
        raise RefusedError(422, "Object does not exist")
    if name.removeprefix("refs/heads/") in repository.protected:
        rule = "Repository rule violations found\n\nChanges must be made through a pull request."
        raise RefusedError(422, rule)
    if not force and not git.is_ancestor(now, sha):
        raise RefusedError(422, "Update is not a fast forward")
