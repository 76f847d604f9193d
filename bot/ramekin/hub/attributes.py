"""Which files are large: the rules of a repository's `.gitattributes`, as the Hub reads them."""

import fnmatch
from typing import Final

_PATTERNS: Final = (
    "*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gguf", "*.gz", "*.h5", "*.joblib", "*.lfs.*",
    "*.mlmodel", "*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx", "*.ot", "*.parquet", "*.pb", "*.pickle", "*.pkl",
    "*.pt", "*.pth", "*.rar", "*.safetensors", "*.tar", "*.tflite", "*.tgz", "*.wasm", "*.xz", "*.zip", "*.zst",
    "*tfevents*", "saved_model/**/*",
)  # fmt: skip

#: What a new repository starts with.
INITIAL_ATTRIBUTES: Final = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _PATTERNS)


def tracked_by_lfs(path: str, attributes: str) -> bool:
    """Whether the rules make git hold a pointer for this path. The last rule that fits wins.

    Args:
        path: Path inside the repository.
        attributes: Text of `.gitattributes`.
    """
    verdict = False
    for line in attributes.splitlines():
        pattern, *settings = line.split() or [""]
        if not pattern or pattern.startswith("#") or not _fits(path, pattern):
            continue
        for setting in settings:
            if setting in ("filter=lfs", "-filter", "!filter"):
                verdict = setting == "filter=lfs"
    return verdict


def _fits(path: str, pattern: str) -> bool:
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
    # `**` may stand for no directory at all; fnmatch's `*` crosses slashes by itself.
    return any(fnmatch.fnmatchcase(path, form) for form in (pattern, pattern.replace("**/", "")))
