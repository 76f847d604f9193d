"""What `evaluate.command` in merge.yaml and arm.yaml calls: the scores of the model in a folder, as one JSON object.

    python score.py FOLDER

Answers are kept where it is called, in `scores/`, by the digest of the weights: nobody is asked the same twice.
"""

import argparse
import json
from pathlib import Path

from cache import digest
from evaluate import Results, remembered
from train import WEIGHTS


def asked(model: Path, kept: Path = Path("scores")) -> Results:
    """How the model in a folder does every task; `kept` is where answers are kept."""
    return remembered(model, kept / digest(model / WEIGHTS)[:16])


def main() -> None:
    """Print the share of right answers with its standard error, that of a share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the model")
    results = asked(parser.parse_args().model)
    scores = {}
    for task, result in results.items():
        count, share = len(result.right), result.score
        stderr = (share * (1 - share) / count) ** 0.5
        scores[task] = {"value": share, "stderr": stderr, "samples": count, "metric": "exact match"}
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
