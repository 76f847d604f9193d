"""Client processes: the unmodified Hub client called step by step, and what came of each step as JSON.

python hub_drive.py SCENARIO FACTS      # with the environment of `Hub.env`
"""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Steps = dict[str, dict[str, Any]]


def drive(env: dict[str, str], scenario: str, facts: dict[str, Any] | None = None) -> Steps:
    """Run a scenario in a client process and return what came of each step."""
    command = [sys.executable, __file__, scenario, json.dumps(facts or {})]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    results: Steps = json.loads(ended.stdout.splitlines()[-1])
    return results


def outcome(step: Callable[[dict[str, Any]], Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The value of a step, or the names of the classes of what it raised."""
    try:
        return {"value": step(facts)}
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test that reads it decides
        response = getattr(error, "response", None)
        return {
            "error": [kind.__name__ for kind in type(error).__mro__],
            "status": getattr(response, "status_code", None),
            "text": str(error),
        }


def main() -> None:
    scenario = importlib.import_module(sys.argv[1])
    facts = json.loads(sys.argv[2])
    results = {}
    for name, step in scenario.STEPS.items():
        results[name] = outcome(step, facts)
        facts[name] = results[name].get("value")
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()
