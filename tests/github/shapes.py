"""What a loopback GitHub answers: its records as GitHub writes them."""

import base64
from datetime import datetime
from typing import Any

from tests.github import rules
from tests.github.gitdir import EMPTY_TREE, Entry, GitCommit, Identity
from tests.github.state import Comment, Issue, Pull, Repository, State, User

Json = dict[str, Any]
LARGEST_INLINE = 1 << 20
"""Contents of files that are larger come as a blob only."""


class Shapes:
    """Writes records.

    Args:
        state: What there is.
        url: GitHub's address.
    """

    def __init__(self, state: State, url: str) -> None:
        self.state = state
        self.url = url
        self.api = f"{url}/api/v3"

    def user(self, user: User | None) -> Json | None:
        if user is None:
            return None
        return {
            "login": user.login,
            "id": user.id,
            "node_id": f"U_{user.id}",
            "url": f"{self.api}/users/{user.login}",
            "html_url": f"{self.url}/{user.login}",
            "type": "Bot" if user.is_bot else "User",
            "site_admin": False,
        }

    def repository(self, repository: Repository) -> Json:
        return {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name.partition("/")[2],
            "full_name": repository.name,
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "owner": self.user(self.state.user(repository.owner)),
            "html_url": f"{self.url}/{repository.name}",
            "url": f"{self.api}/repos/{repository.name}",
            "clone_url": f"{self.url}/{repository.name}.git",
            "fork": repository.parent is not None,
            "default_branch": repository.default,
            "has_issues": repository.has_issues,
            "archived": False,
            "disabled": False,
        }

    # Git

    def git_commit(self, repository: Repository, commit: GitCommit) -> Json:
        """A commit as git has it."""
        at = f"{self.api}/repos/{repository.name}/git"
        return {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha}",
            "url": f"{at}/commits/{commit.sha}",
            "html_url": f"{self.url}/{repository.name}/commit/{commit.sha}",
            "author": _signed(commit.author, commit.authored),
            "committer": _signed(commit.committer, commit.committed),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{at}/trees/{commit.tree}"},
            "parents": [{"sha": sha, "url": f"{at}/commits/{sha}"} for sha in commit.parents],
            "verification": {"verified": commit.committer == rules.WEB, "reason": "unsigned", "signature": None},
        }

    def commit(self, repository: Repository, commit: GitCommit, *, files: bool = False) -> Json:
        """A commit as GitHub knows it, with the people behind it."""
        at = f"{self.api}/repos/{repository.name}/commits"
        plain = self.git_commit(repository, commit)
        answer = {
            "sha": commit.sha,
            "node_id": plain["node_id"],
            "url": f"{at}/{commit.sha}",
            "html_url": plain["html_url"],
            "commit": {
                **{name: plain[name] for name in ("author", "committer", "message", "tree", "verification")},
                "url": plain["url"],
                "comment_count": 0,
            },
            "author": self.user(self.state.known(commit.author)),
            "committer": self.user(self.state.known(commit.committer)),
            "parents": [{"sha": sha, "url": f"{at}/{sha}"} for sha in commit.parents],
        }
        if files:
            base = commit.parents[0] if commit.parents else EMPTY_TREE
            answer["files"] = self.files(repository, base, commit.sha)
            answer["stats"] = {"total": 0, "additions": 0, "deletions": 0}
        return answer

    def files(self, repository: Repository, base: str, head: str) -> list[Json]:
        """What differs between two commits."""
        names = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "T": "changed", "C": "copied"}
        answer: list[Json] = []
        for status, path, former in repository.git.changed(base, head):
            entry = repository.git.entry(head if status != "D" else base, path)
            sizes = {"additions": 1, "deletions": 1, "changes": 2}
            one = {"sha": entry.sha if entry else None, "filename": path, "status": names[status], **sizes}
            answer.append(one | ({"previous_filename": former} if former else {}))
        return answer

    def ref(self, repository: Repository, name: str, sha: str) -> Json:
        at = f"{self.api}/repos/{repository.name}/git"
        return {
            "ref": name,
            "node_id": f"REF_{name}",
            "url": f"{at}/{name}",
            "object": {"sha": sha, "type": "commit", "url": f"{at}/commits/{sha}"},
        }

    def tree(self, repository: Repository, sha: str, *, recursive: bool) -> Json:
        at = f"{self.api}/repos/{repository.name}/git"
        entries = [
            {"path": each.path, "mode": each.mode, "type": each.type, "sha": each.sha, "url": f"{at}/blobs/{each.sha}"}
            | ({} if each.size is None else {"size": each.size})
            for each in repository.git.entries(sha, recursive=recursive)
        ]
        return {"sha": sha, "url": f"{at}/trees/{sha}", "tree": entries, "truncated": False}

    def content(self, repository: Repository, entry: Entry, path: str, ref: str, *, whole: bool) -> Json:
        """A file, or an entry of a directory."""
        at = f"{self.api}/repos/{repository.name}"
        kinds = {"tree": "dir", "commit": "submodule"}
        kind = "symlink" if entry.mode == "120000" else kinds.get(entry.type, "file")
        answer: Json = {
            "name": path.rpartition("/")[2],
            "path": path,
            "sha": entry.sha,
            "size": entry.size or 0,
            "url": f"{at}/contents/{path}?ref={ref}",
            "html_url": f"{self.url}/{repository.name}/blob/{ref}/{path}",
            "git_url": f"{at}/git/blobs/{entry.sha}",
            "download_url": None,
            "type": kind,
        }
        if whole and kind == "file":
            large = (entry.size or 0) > LARGEST_INLINE
            data = "" if large else base64.encodebytes(repository.git.blob(entry.sha)).decode()
            answer |= {"content": data, "encoding": "none" if large else "base64"}
        return answer

    # People's words

    def pull(self, repository: Repository, issue: Issue, *, whole: bool = True) -> Json:
        """A pull request; in lists without what takes time to find out."""
        pull = issue.pull
        assert pull
        at = f"{self.api}/repos/{repository.name}"
        source = self.state.repository(pull.head_repository) if pull.head_repository else None
        owner = (pull.head_repository or "unknown/").partition("/")[0]
        answer: Json = {
            "id": issue.number + 5000,
            "node_id": f"PR_{issue.number}",
            "number": issue.number,
            "url": f"{at}/pulls/{issue.number}",
            "html_url": f"{self.url}/{repository.name}/pull/{issue.number}",
            "issue_url": f"{at}/issues/{issue.number}",
            "state": issue.state,
            "locked": False,
            "draft": pull.draft,
            "title": issue.title,
            "body": issue.body or None,
            "user": self.user(self.state.user(issue.author)),
            "created_at": _time(issue.created),
            "updated_at": _time(issue.updated),
            "closed_at": _time(issue.closed),
            "merged_at": _time(pull.merged),
            "merge_commit_sha": pull.merge_commit or repository.git.ref(f"refs/pull/{issue.number}/merge"),
            "labels": [],
            "assignees": [],
            "head": self._end(source, f"{owner}:{pull.branch}", pull.branch, pull.head),
            "base": self._end(repository, f"{repository.owner}:{pull.base}", pull.base, pull.base_commit),
            "author_association": "CONTRIBUTOR",
        }
        return answer | (self._found_out(repository, issue, pull) if whole else {})

    def _found_out(self, repository: Repository, issue: Issue, pull: Pull) -> Json:
        files = repository.git.changed(rules.fork_point(repository, pull), pull.head)
        return {
            "merged": pull.merged is not None,
            "merged_by": self.user(self.state.user(pull.merged_by)) if pull.merged_by else None,
            "mergeable": None if issue.state == "closed" else rules.mergeable(repository, pull),
            "comments": len(issue.comments),
            "commits": len(repository.git.between(rules.fork_point(repository, pull), pull.head)),
            "changed_files": len(files),
            "maintainer_can_modify": False,
        }

    def _end(self, repository: Repository | None, label: str, ref: str, sha: str) -> Json:
        return {
            "label": label,
            "ref": ref,
            "sha": sha,
            "user": self.user(self.state.user(label.partition(":")[0])),
            "repo": self.repository(repository) if repository else None,
        }

    def issue(self, repository: Repository, issue: Issue) -> Json:
        at = f"{self.api}/repos/{repository.name}"
        page = f"{self.url}/{repository.name}/{'pull' if issue.pull else 'issues'}/{issue.number}"
        answer: Json = {
            "id": issue.number + 9000,
            "node_id": f"I_{issue.number}",
            "number": issue.number,
            "url": f"{at}/issues/{issue.number}",
            "comments_url": f"{at}/issues/{issue.number}/comments",
            "html_url": page,
            "state": issue.state,
            "title": issue.title,
            "body": issue.body or None,
            "user": self.user(self.state.user(issue.author)),
            "labels": [],
            "comments": len(issue.comments),
            "locked": False,
            "created_at": _time(issue.created),
            "updated_at": _time(issue.updated),
            "closed_at": _time(issue.closed),
        }
        if issue.pull:
            answer["pull_request"] = {"url": f"{at}/pulls/{issue.number}", "html_url": page}
        return answer

    def comment(self, repository: Repository, issue: Issue, comment: Comment) -> Json:
        at = f"{self.api}/repos/{repository.name}"
        kind = "pull" if issue.pull else "issues"
        return {
            "id": comment.id,
            "node_id": f"IC_{comment.id}",
            "url": f"{at}/issues/comments/{comment.id}",
            "html_url": f"{self.url}/{repository.name}/{kind}/{issue.number}#issuecomment-{comment.id}",
            "issue_url": f"{at}/issues/{issue.number}",
            "user": self.user(self.state.user(comment.author)),
            "created_at": _time(comment.created),
            "updated_at": _time(comment.updated),
            "body": comment.body,
            "author_association": "NONE",
        }


def _signed(who: Identity, at: datetime) -> Json:
    return {"name": who.name, "email": who.email, "date": _time(at)}


def _time(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
