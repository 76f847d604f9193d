"""`python push.py FOLDER REPO`: a model, or a dataset, to the Hub at HF_ENDPOINT, by its ordinary client.

Unchanged files stay.
"""

import argparse
from pathlib import Path

from cache import STAMP
from huggingface_hub import HfApi


def push(folder: Path, repo: str, kind: str = "model") -> str:
    """Put the folder's files into a repository, private where it has to be made. Returns the commit that holds them."""
    hub = HfApi()
    hub.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
    hub.upload_folder(
        repo_id=repo,
        repo_type=kind,
        folder_path=folder,
        ignore_patterns=[STAMP],
        commit_message=f"Upload {repo.split('/')[1]}",
    )
    return str(hub.repo_info(repo, repo_type=kind).sha)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repo")
    parser.add_argument("--dataset", action="store_true", help="the folder is a dataset")
    arguments = parser.parse_args()
    kind = "dataset" if arguments.dataset else "model"
    print(f"{arguments.repo} is at {push(arguments.folder, arguments.repo, kind)}")
