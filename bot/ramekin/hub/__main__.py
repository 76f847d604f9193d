"""`python -m ramekin.hub`: the embedded Hub as a process of its own."""

import argparse
import json
import sys
from pathlib import Path

from ramekin.hub.access import DEMO, User
from ramekin.hub.blobs import write_atomically
from ramekin.hub.calls import Options
from ramekin.hub.serving import assemble, listening, make_server
from ramekin.hub.store import open_store


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m ramekin.hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of the store")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 for any free one")
    parser.add_argument("--xet", action="store_true", help="offer xet storage")
    parser.add_argument("--jobs", action="store_true", help="run jobs, as processes of this machine")
    parser.add_argument("--users", type=Path, help="JSON file with a list of users instead of the one demo user")
    parser.add_argument("--ready-file", type=Path, help="file to write the line to that is printed once it answers")
    chosen = parser.parse_args(arguments)
    users = [User.from_json(one) for one in json.loads(chosen.users.read_bytes())] if chosen.users else [DEMO]
    options = Options(xet=chosen.xet, jobs=chosen.jobs)
    with open_store(chosen.root) as store, listening(chosen.port) as (listener, url):
        server = make_server(assemble(store, users, options, url))
        line = json.dumps({"url": url, "token": users[0].token, "control_key": options.control_key})
        if chosen.ready_file:
            write_atomically(chosen.ready_file, line.encode())
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        server.run([listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
