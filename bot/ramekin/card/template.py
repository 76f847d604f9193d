"""A card template of one's own: found beside the manifest, kept with the merge, and rendered where it can do no harm.

No plan reads it, since a plan may be of a stranger's pull request. It is Jinja, in a sandbox, in a process of its own
with bounds on time, memory and what it writes, without a token and without anything else that is not on the card.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ramekin.environment import bare_environment
from ramekin.errors import DamagedError, Problem, TemplateError
from ramekin.lock.model import Lock
from ramekin.manifest.model import CardTexts
from ramekin.manifest.reading import LoadedManifest
from ramekin.records import FileRecord
from ramekin.report import CARD_TEMPLATE, REPORT_NAME, Report
from ramekin.text import printable

MAX_BYTES: Final = 100_000
_LONGEST: Final = 60.0
"""Seconds after which it is ended, on however busy a machine; it has less of the processor's time."""
_MOST_OUTPUT: Final = 16 << 20


@dataclass(frozen=True)
class CardTemplate:
    """A template.

    Attributes:
        path: Where it was found, for messages.
        content: The file.
    """

    path: Path
    content: bytes

    @property
    def text(self) -> str:
        """Its text.

        Raises:
            TemplateError: It is none.
        """
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            line = 1 + self.content.count(b"\n", 0, error.start)
            raise _error("is not UTF-8 text", "save it as UTF-8", self.path, line) from error

    @property
    def sha256(self) -> str:
        """Its digest, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def record(self) -> FileRecord:
        """What the report says of the copy that is kept with the merge."""
        return FileRecord(size=len(self.content), sha256=self.sha256)


def find_template(loaded: LoadedManifest) -> CardTemplate | None:
    """Read the template that a manifest names; in a merged directory, the copy that is kept there.

    Raises:
        TemplateError: It is not there, leads out of the manifest's directory, or is too large.
    """
    name = loaded.manifest.card.template
    if name is None:
        return None
    kept = loaded.directory / Path(CARD_TEMPLATE).name
    published = (loaded.directory / Path(REPORT_NAME).name).is_file() and kept.is_file()
    try:
        return _read(kept if published else loaded.directory / name, loaded.directory)
    except TemplateError as error:
        (problem,) = error.problems
        line = loaded.line("card.template")
        raise TemplateError(problems=[Problem(problem.what, problem.hint, loaded.path, line)]) from error


def kept_template(directory: Path) -> CardTemplate:
    """Read the copy in a merged directory.

    Raises:
        DamagedError: It is not there.
        TemplateError: It leads out of the directory, or is too large.
    """
    if not (directory / CARD_TEMPLATE).is_file():
        raise DamagedError(f"{directory / CARD_TEMPLATE} does not exist", "merge again, or restore the file")
    return _read(directory / CARD_TEMPLATE, directory)


def check_template(template: CardTemplate) -> None:
    """Find out whether it is a template at all, before there is anything to render.

    Raises:
        TemplateError: It is none.
    """
    _confined(template, {})


def render_template(template: CardTemplate, report: Report, texts: CardTexts, lock: Lock, endpoint: str) -> str:
    """Render the card below its front matter.

    Raises:
        TemplateError: The template has a mistake, or goes beyond its bounds.
    """
    values = {
        "report": report.to_data(),
        "texts": texts.model_dump(mode="json"),
        "lock": json.loads(lock.to_json()),
        "endpoint": endpoint,
    }
    return _confined(template, values)


def _read(path: Path, directory: Path) -> CardTemplate:
    shown = printable(path)
    try:
        real = path.resolve()
        if not real.is_relative_to(directory.resolve()):
            raise TemplateError(
                f"the card template {shown} is outside of the manifest's directory", "put it beside the manifest"
            )
        if not real.is_file():
            raise TemplateError(f"the card template {shown} is not there", "write it, or take `card.template` out")
        with real.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null byte
        reason = printable(getattr(error, "strerror", None) or str(error))
        raise TemplateError(f"the card template {shown} cannot be read: {reason}", "check the file") from error
    if len(content) > MAX_BYTES:
        raise TemplateError(
            f"the card template {shown} is larger than {MAX_BYTES // 1000} kB", "a template is a few pages of text"
        )
    return CardTemplate(path, content)


def _confined(template: CardTemplate, values: dict[str, Any]) -> str:
    """Have a process of its own compile the template, and render it if there are values."""
    order = json.dumps({"template": template.text, "values": values})
    with tempfile.TemporaryDirectory(prefix="ramekin-card-") as temporary, tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                # Not from the working directory, which Python would look for modules in.
                [sys.executable, "-P", "-m", "ramekin.card.confined"],
                input=order.encode(),
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=temporary,
                env=bare_environment(Path(temporary)),
                timeout=_LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _beyond(template) from error
        output.seek(0)
        answer = output.read(_MOST_OUTPUT)
    if done.returncode:
        raise _beyond(template)
    found = json.loads(answer)
    if "problem" in found:
        what = printable(found["problem"], 300)
        raise _error(
            what, "mend the template: docs/card.md lists its blocks and variables", template.path, found["line"]
        )
    return str(found["card"])


def _beyond(template: CardTemplate) -> TemplateError:
    what = "takes more time or memory than a card may, or writes more"
    return _error(what, "look for a loop that does not end, or a text that grows with every step", template.path, None)


def _error(what: str, hint: str, path: Path, line: int | None) -> TemplateError:
    return TemplateError(problems=[Problem(f"the card template {what}", hint, path, line)])
