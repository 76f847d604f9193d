"""Links must name the host that the client used, or it refuses them after the commit has landed."""

import os
from typing import Any

from huggingface_hub import HfApi

API = HfApi()


def commit(facts: dict[str, Any]) -> bool:
    API.create_repo("demo/elsewhere")
    info = API.upload_file(repo_id="demo/elsewhere", path_or_fileobj=b"0" * 3000, path_in_repo="a.bin", create_pr=True)
    return info.commit_url.startswith(os.environ["HF_ENDPOINT"]) and info.pr_num == 1


STEPS = {"commit": commit}
