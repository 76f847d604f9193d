"""The lock: every source pinned to a commit, every file that is read to its digest."""
