"""`python push.py FOLDER REPO`: a model to the Hub at HF_ENDPOINT, by its ordinary client. Unchanged files stay."""

import argparse
from pathlib import Path

from cache import STAMP
from huggingface_hub import HfApi


def push(folder: Path, repo: str) -> str:
    """Put the folder's files into a repository, private where it has to be made. Returns the commit that holds them."""
    hub = HfApi()
    hub.create_repo(repo, private=True, exist_ok=True)
    hub.upload_folder(
        repo_id=repo, folder_path=folder, ignore_patterns=[STAMP], commit_message=f"Upload {repo.split('/')[1]}"
    )
    return str(hub.model_info(repo).sha)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("repo")
    arguments = parser.parse_args()
    print(f"{arguments.repo} is at {push(arguments.folder, arguments.repo)}")
