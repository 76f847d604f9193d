"""Branches, commits and files on GitHub, read and written without a clone."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from github.ContentFile import ContentFile

from ramekin.github.archive import unpack
from ramekin.github.base import Base
from ramekin.github.calls import AbsentError, RefusedError
from ramekin.github.records import Commit
from ramekin.github.refusals import ConflictError, GitHubError
from ramekin.text import printable

_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NOTHING: Final = "0" * 40
"""Stands for no commit."""
_UPDATE_REFS: Final = "mutation ($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"
_MOVED_AWAY: Final = re.compile(r"fast.?forward|does not exist", re.IGNORECASE)
_MOVED: Final = "start the job again: it looks at what is there now"


class History(Base):
    """Git objects and branches of one repository."""

    def head(self, branch: str) -> str | None:
        """Commit that a branch is at; None where there is no such branch.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        try:
            return self._calls.repeat(lambda: self._repo.get_git_ref(f"heads/{branch}").object.sha)
        except (AbsentError, ConflictError):  # the latter of a repository without commits
            return None

    def commit(self, sha: str) -> Commit | None:
        """A commit; None where there is no such commit.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        if not _SHA.fullmatch(sha):
            return None
        try:
            return self._calls.repeat(lambda: self._commit(sha))
        except (AbsentError, RefusedError, ConflictError):
            return None

    def _commit(self, sha: str) -> Commit:
        found = self._repo.get_commit(sha, commit_files_per_page=1)  # its files are of no interest
        return Commit(
            sha=found.sha,
            tree=found.commit.tree.sha,
            parents=tuple(parent.sha for parent in found.parents),
            message=found.commit.message,
            author=getattr(found.author, "login", None),
        )

    def last_change(self, path: str, ref: str) -> str | None:
        """Newest commit in the history of `ref` that touched a path; None if there is none.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        try:
            found = self._calls.repeat(lambda: self._repo.get_commits(sha=ref, path=path).get_page(0))
        except (AbsentError, ConflictError):
            return None
        return found[0].sha if found else None

    def contains(self, branch: str, commit: str) -> bool:
        """Whether a commit is in a branch's history.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        if not _SHA.fullmatch(commit):
            return False
        try:
            # From the commit's side the branch is then only ahead.
            found = self._calls.repeat(lambda: self._repo.compare(commit, branch, comparison_commits_per_page=1).status)
        except AbsentError:
            return False
        return found in {"ahead", "identical"}

    def read(self, path: str, ref: str) -> bytes | None:
        """A file's content at a commit or branch; None where there is no such file.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        if not path or PurePosixPath(path).is_absolute() or not {".", ".."}.isdisjoint(path.split("/")):
            return None
        try:
            return self._calls.repeat(lambda: self._content(path, ref))
        except AbsentError:
            return None

    def _content(self, path: str, ref: str) -> bytes | None:
        found = self._repo.get_contents(path, ref=ref)
        if not isinstance(found, ContentFile) or found.type != "file":
            return None
        if found.encoding == "base64":
            return base64.b64decode(found.content)
        return base64.b64decode(self._repo.get_git_blob(found.sha).content)  # a large file

    def make_commit(self, parent: str, message: str, files: Mapping[str, bytes]) -> str:
        """Make a commit that changes these files only; no branch points to it yet. Returns its id.

        No author is named: so it is the token's owner, and GitHub signs it.

        Raises:
            GitHubError: It cannot be done.
        """
        return self._calls.repeat(lambda: self._make_commit(parent, message, files))

    def _make_commit(self, parent: str, message: str, files: Mapping[str, bytes]) -> str:
        tree: str = self._send("GET", f"/git/commits/{quote(parent, safe='')}")["tree"]["sha"]
        if files:
            entries = [
                {
                    "path": path,
                    "mode": "100644",
                    "type": "blob",
                    "sha": self._repo.create_git_blob(base64.b64encode(data).decode(), "base64").sha,
                }
                for path, data in files.items()
            ]
            tree = self._send("POST", "/git/trees", {"base_tree": tree, "tree": entries})["sha"]
        made = self._send("POST", "/git/commits", {"message": message, "tree": tree, "parents": [parent]})
        return str(made["sha"])

    def set_branch(self, branch: str, commit: str, expected: str | None) -> None:
        """Create a branch, or move it, if it is where it is expected.

        Args:
            branch: Its name.
            commit: Where it is to be.
            expected: Where it is now; None if it is not there yet.

        Raises:
            ConflictError: It is somewhere else.
            ForbiddenError: The token may not.
            GitHubError: It cannot be done.
        """
        self._move(branch, commit, expected)

    def _move(self, branch: str, commit: str | None, expected: str | None) -> None:
        """Let a branch go from one commit to another, None standing for a branch that is not there."""

        def there() -> bool | None:
            now = self.head(branch)
            if now == commit:
                return True
            if now != expected:
                raise ConflictError(f"the branch `{printable(branch)}` is no longer where it was looked at", _MOVED)
            return None

        update = {
            "name": f"refs/heads/{branch}",
            "beforeOid": expected or _NOTHING,
            "afterOid": commit or _NOTHING,
            "force": True,
        }

        def change() -> bool:
            # REST moves a branch wherever it is: somebody's push between the look and the move would be lost.
            self._graphql(_UPDATE_REFS, {"input": {"repositoryId": self._repo.node_id, "refUpdates": [update]}})
            return True

        if there():
            return
        try:
            self._calls.once(change, there)
        except RefusedError:
            if not there():
                raise

    def advance_branch(self, branch: str, commit: str) -> None:
        """Move a branch forward to a commit that descends from where it is. One that is further already stays.

        Raises:
            ConflictError: It has gone another way meanwhile.
            ForbiddenError: It is protected, or the token may not.
            GitHubError: It cannot be done.
        """
        try:
            data = {"sha": commit, "force": False}
            self._calls.repeat(lambda: self._send("PATCH", _ref(branch), data))
        except RefusedError as error:
            if not _MOVED_AWAY.search(error.problems[0].what):
                raise
            if not self.contains(branch, commit):
                what = f"the branch `{printable(branch)}` has moved meanwhile ({error.problems[0].what})"
                raise ConflictError(what, _MOVED) from error

    def delete_branch(self, branch: str, expected: str) -> None:
        """Delete a branch, if it is where it is expected; one that is gone already is fine.

        Raises:
            ConflictError: It is somewhere else.
            ForbiddenError: The token may not.
            GitHubError: It cannot be done.
        """
        self._move(branch, None, expected)

    def archive(self, commit: str, directory: Path) -> Path:
        """Fetch the tree of a commit, and unpack it into a directory that is there; returns where its files begin.

        Nothing is written outside, and nothing in it leads outside. Paths that the tree's own `.gitattributes` keep out
        of archives are missing.

        Raises:
            GitHubError: It cannot be had, or is larger than a repository with manifests is.
        """
        if not _SHA.fullmatch(commit):
            raise GitHubError("what is to be fetched is not a commit", "start the job again")
        secure = self._client.requester.base_url.startswith("https:")
        return self._calls.repeat(
            lambda: unpack(self._repo.get_archive_link("tarball", commit), directory / commit, secure=secure)
        )


def _ref(branch: str) -> str:
    # Not the address that a branch is read at, which PyGithub would take as long as it has not read it.
    return f"/git/refs/heads/{quote(branch)}"
