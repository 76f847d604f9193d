"""A small Hugging Face Hub on loopback, for tests and the demonstration. The unmodified client cannot tell.

    with serve(directory) as hub:
        hub.store.create_repo("org/model")
        hub.store.commit("org/model", {"config.json": "{}"})
        subprocess.run(command, env=hub.env(home))

Nothing but the demo command and the tests imports this package.
"""

from ramekin.hub.access import DEMO, Scope, User
from ramekin.hub.blobs import Sparse
from ramekin.hub.calls import Options
from ramekin.hub.faults import Fault
from ramekin.hub.serving import Hub, serve
from ramekin.hub.store import Store, open_store
from ramekin.hub.traffic import RateLimit, Request
from ramekin.hub.trust import Job, Trust

__all__ = [
    "DEMO",
    "Fault",
    "Hub",
    "Job",
    "Options",
    "RateLimit",
    "Request",
    "Scope",
    "Sparse",
    "Store",
    "Trust",
    "User",
    "open_store",
    "serve",
]
