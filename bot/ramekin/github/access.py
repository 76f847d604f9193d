"""Which repository on GitHub is asked, where, and with which token."""

import re
from dataclasses import dataclass
from typing import Final

from ramekin.secret import Secret

API_URL: Final = "https://api.github.com"
REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}/[\w.-]{1,100}", re.ASCII)
"""How a repository is named."""


@dataclass(frozen=True)
class Access:
    """One repository, and who asks for it.

    Attributes:
        repository: `owner/name`.
        token: For GitHub's interface; None where none was given.
        api_url: Address of its REST interface.
    """

    repository: str
    token: Secret | None
    api_url: str = API_URL
