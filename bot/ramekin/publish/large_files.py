"""Large files that are on the Hub before any commit names them: uploaded one by one, and committed without being here.

The client can upload a file ahead of its commit, but forms the commit from the file itself, which here is gone by then.
So an operation is formed from size and digest alone. All that is known of the client's inner life for this is below.
"""

from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.lfs import UploadInfo, post_lfs_batch_info
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from ramekin.records import FileRecord

_MODEL: Final = "model"


def upload_ahead(api: HfApi, repo: str, name: str, path: Path, record: FileRecord, *, pull_request: bool) -> bool:
    """Upload a large file that a later commit will name; returns whether the Hub takes it as a large one.

    What no commit names is removed by the Hub only after a long while: far later than any merge ends.
    """
    operation = CommitOperationAdd(name, str(path))
    operation.upload_info.sha256 = bytes.fromhex(record.sha256)  # taken while it was written: not again
    api.preupload_lfs_files(repo, [operation], create_pr=pull_request)
    return operation._is_uploaded  # noqa: SLF001


def uploaded_addition(name: str, record: FileRecord) -> CommitOperationAdd:
    """The operation that commits a file which the Hub has and we have not."""
    operation = CommitOperationAdd(name, b"")
    operation.upload_info = UploadInfo(record.size, b"", bytes.fromhex(record.sha256))
    operation._upload_mode = "lfs"  # noqa: SLF001
    operation._is_uploaded = True  # noqa: SLF001
    return operation


def holds(api: HfApi, repo: str, record: FileRecord) -> bool:
    """Whether the Hub has a large file, for this repository: it then does not ask for an upload.

    A Hub that answers otherwise for what came by another way, such as xet, only makes us upload it once more.
    """
    actions, errors, _ = post_lfs_batch_info(
        [UploadInfo(record.size, b"", bytes.fromhex(record.sha256))],
        token=None,
        repo_type=_MODEL,
        repo_id=repo,
        endpoint=api.endpoint,
        headers=build_hf_headers(token=api.token, library_name=api.library_name),
    )
    return not errors and bool(actions) and not any(action.get("actions") for action in actions)
