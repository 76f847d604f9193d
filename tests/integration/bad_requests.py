"""Manifests, locks, licences, targets, merged directories and command lines that are hostile or simply wrong."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ramekin.hub import Sparse
from tests.integration.bad_sources import BIDI, EVIL, MERGE, PLAN, RUN, Case, damaged
from tests.integration.scenes import STRANGER, Scene, family

CHECK: Final = ("check", "merge.yaml", "--exit-code")
VERIFY: Final = ("verify", "merged")
PUBLISH: Final = ("publish", "merged")
CARD: Final = ("card", "merged")
REPORT: Final = "ramekin/report.json"
LAUGHS: Final = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [" + ", ".join([f"*{chr(97 + n)}"] * 9) + "]\n" for n in range(9)
)


def usage(name: str, *says: str, setup: Callable[[Scene], Any] = Scene.manifest, **more: Any) -> Case:
    """A manifest or command line that cannot be carried out."""
    return Case(name, 2, says, setup, **more)


def manifest(text: str | bytes) -> Callable[[Scene], Any]:
    """That text as the manifest."""
    return lambda scene: scene.write("merge.yaml", text)


def lines(more: str) -> Callable[[Scene], None]:
    """The usual manifest with more lines at its end, inside `output` if they are indented."""
    return lambda scene: scene.manifest(more)


MANIFESTS = (
    usage("manifest absent", "no manifest at merge.yaml", "ramekin init", setup=lambda s: None, fresh=True),
    usage("manifest is a directory", "is a directory", setup=lambda s: (s.directory / "merge.yaml").mkdir()),
    usage("manifest is binary", "not UTF-8", setup=manifest(bytes(range(128, 256)))),
    usage("manifest of one MB", "larger than 256 kB", setup=manifest(b"#" + b"x" * 1_000_000)),
    usage("anchors that explode", "more than 5000 values", setup=manifest(LAUGHS), fresh=True),
    usage("keys twice", "is written twice", setup=lines("  repo: demo/b\n")),
    usage("python tag", "the tag", setup=lines("card: !!python/object/apply:os.system [id]\n")),
    usage("wrong types", "merge.yaml:11", "merge.yaml:12", setup=lines("  private: 3\n  shard_size: []\n")),
    usage("absurd size", "output.shard_size", setup=lines("  shard_size: 99999999999999999999TB\n")),
    usage("unknown key", "did you mean `method`?", setup=lines("methods: {}\n")),
    usage("key of an attacker", "is not a known key", setup=lines(json.dumps({EVIL: 1})[1:-1] + "\n")),
    usage("key of 1 kB", "is not a known key", setup=lines("x" * 1000 + ": 1\n")),
    usage("a source that leads out", "is not a repository id", setup=lambda s: s.manifest(coder="demo/../../etc")),
    usage(
        "a source with a line break", "is not a repository id", setup=lambda s: s.manifest(coder="demo/x\n::error::y")
    ),
    usage("a path with an escape", "is not a path", setup=lambda s: s.manifest(coder="./x\x1b[2J")),
    usage("a revision that leads out", "is not a branch", setup=lambda s: s.manifest(coder="demo/coder@../../main")),
    usage("target is a source", "is one of the sources", setup=lambda s: s.manifest(repo="demo/coder")),
    usage("an expert twice", "is the same checkpoint", setup=lambda s: s.manifest(coder="demo/tool")),
    usage("manifest wrong for run", "is not a known key", setup=lines("x: 1\n"), command=RUN),
    usage("manifest wrong for check", "is not a known key", setup=lines("x: 1\n"), command=CHECK),
    usage(
        "a manifest with an evil name",
        "is not a known key",
        setup=lambda s: s.write("x\n##[set-output name=key]y\n::error::z\x1b[2J.yaml", "x: 1\n"),
        command=("plan", "x\n##[set-output name=key]y\n::error::z\x1b[2J.yaml"),
    ),
)

COMMANDS = (
    usage(
        "no such command", "there is no command 'plam'", "did you mean `plan`?", "--help", command=("plam",), fresh=True
    ),
    usage("an evil command", "there is no command", command=(EVIL,)),
    usage("a command of 10 kB", "there is no command", command=("x" * 10_000,)),
    usage("no such option", "--lokced", command=("plan", "--lokced")),
    usage("an evil option", "--x", command=("plan", f"--x{EVIL}" + "x" * 10_000)),
    usage("one argument too many", "unexpected extra argument", command=("plan", "merge.yaml", "other.yaml")),
    usage("no directory named", "missing argument", command=("publish",)),
    usage("no output named", "missing option '--out'", command=("merge", "merge.yaml")),
    usage("no such format", "'html'", command=("plan", "--format", "html")),
    usage("options that exclude each other", "exclude each other", command=("lock", "--check", "--upgrade")),
    usage("no such device", "'tpu'", command=(*MERGE, "--device", "tpu")),
    usage(
        "an output that is taken",
        "exists and holds something else",
        setup=lambda s: (s.manifest(), s.write("out/mine.txt", "mine")),
        command=MERGE,
        writes=("merge.lock",),
    ),
    usage(
        "an output below a file",
        "cannot be written",
        "is not a directory",
        setup=lambda s: (s.manifest(), s.write("out", "mine")),
        command=("merge", "merge.yaml", "--out", "out/merged"),
        writes=("merge.lock",),
    ),
    usage(
        "an output of 300 characters",
        "File name too long",
        command=("merge", "merge.yaml", "--out", "x" * 300),
        writes=("merge.lock",),
    ),
    usage(
        "a demonstration in a file",
        "is a file",
        setup=lambda s: s.write("here", "mine"),
        command=("demo", "--dir", "here"),
    ),
    usage("a start in a file", "is a file", setup=lambda s: s.write("here", "mine"), command=("init", "here")),
)


def variables(**env: str) -> Callable[[Scene], None]:
    """The usual manifest and environment, with other variables."""

    def setup(scene: Scene) -> None:
        scene.manifest()
        scene.write("a-file", "")
        scene.env |= {name: value.replace("HERE", str(scene.directory)) for name, value in env.items()}

    return setup


ENVIRONMENT = (
    usage("an endpoint that is none", "HF_ENDPOINT is no address", setup=variables(HF_ENDPOINT="nonsense"), fresh=True),
    usage("an endpoint with a bad port", "HF_ENDPOINT is no address", setup=variables(HF_ENDPOINT="http://h:99999")),
    usage("an endpoint in the file system", "HF_ENDPOINT is", setup=variables(HF_ENDPOINT="file:///etc/passwd")),
    usage("an endpoint with a secret", "HF_ENDPOINT is", setup=variables(HF_ENDPOINT="ftp://me:hf_secret_word@host")),
    usage("a token of other letters", "characters that no token has", setup=variables(HF_TOKEN="hf_t\xf6ken_word")),
    usage("a token of two lines", "characters that no token has", setup=variables(HF_TOKEN="hf_a_word\r\nX-Evil: 1")),
    usage("a home that is a file", "HF_HOME is", setup=variables(HF_HOME="HERE/a-file"), command=MERGE),
    usage("a wait that is none", "RAMEKIN_RETRY_WAIT", setup=variables(RAMEKIN_RETRY_WAIT="soon"), fresh=True),
    usage("a wait without end", "RAMEKIN_RETRY_WAIT", setup=variables(RAMEKIN_RETRY_WAIT="inf")),
)


def lock(edit: Callable[[dict[str, Any]], None]) -> Callable[[Scene], None]:
    """The usual lock, edited."""

    def setup(scene: Scene) -> None:
        data = scene.locked()
        edit(data)
        scene.write("merge.lock", json.dumps(data))

    return setup


def rename_weights(data: dict[str, Any], name: str) -> None:
    """Pin the coder's weights under another name."""
    files = data["experts"]["coder"]["files"]
    files[name] = files.pop("model.safetensors")


def another_digest(data: dict[str, Any]) -> None:
    """Pin weights that nobody has."""
    data["experts"]["coder"]["files"]["model.safetensors"]["sha256"] = "0" * 64


def raw_lock(content: str | bytes) -> Callable[[Scene], Any]:
    """That text as the lock."""
    return lambda scene: (scene.manifest(), scene.write("merge.lock", content))


def stale(name: str, *says: str, setup: Callable[[Scene], Any], **more: Any) -> Case:
    """A lock that is absent or of no use."""
    return Case(name, 3, says, setup, **more)


LOCKED: Final = ("plan", "merge.yaml", "--locked")
LOCKS = (
    stale("lock is garbage", "is no lock", "restore it from git", setup=raw_lock(b"\x80\x04garbage"), fresh=True),
    stale("lock is a list", "is no lock", setup=raw_lock("[]")),
    stale("lock nested without end", "is no lock", setup=raw_lock("[" * 100_000)),
    stale("lock of another version", "is no lock", setup=lock(lambda d: d.update(schema=2))),
    stale("lock with an evil key", "is no lock", setup=lock(lambda d: d.update({EVIL + "x" * 10_000: 1}))),
    stale("lock leads out", "is no lock", setup=lock(lambda d: rename_weights(d, "../../evil.safetensors"))),
    stale("lock leads to the root", "is no lock", setup=lock(lambda d: rename_weights(d, "/etc/passwd"))),
    stale("lock leads out further in", "is no lock", setup=lock(lambda d: rename_weights(d, "a/../../b"))),
    stale(
        "lock names a file with a line break", "is no lock", setup=lock(lambda d: rename_weights(d, "a\n::error::b"))
    ),
    stale(
        "lock with half a digest",
        "is no lock",
        setup=lock(lambda d: d["base"]["files"]["config.json"].update(blob="12345")),
    ),
    stale(
        "lock names a huge file", "is no lock", setup=lock(lambda d: d["base"]["files"]["config.json"].update(size=-1))
    ),
    stale(
        "lock is a directory", "Is a directory", setup=lambda s: (s.manifest(), (s.directory / "merge.lock").mkdir())
    ),
    stale(
        "lock of another manifest",
        "does not fit",
        setup=lambda s: (s.locked(), s.manifest(method="ram")),
        command=LOCKED,
    ),
    stale("lock with another digest", "does not fit", setup=lock(another_digest), command=LOCKED),
    stale("lock absent", "there is no lock", setup=Scene.manifest, command=LOCKED),
    stale("lock absent for check", "there is no lock", setup=Scene.manifest, command=CHECK),
    stale("lock to be checked is absent", "there is no lock", setup=Scene.manifest, command=("lock", "--check")),
    damaged(
        "another digest than what arrives",
        "is not what the lock says",
        setup=lock(another_digest),
        command=MERGE,
        fetches=True,
        writes=("merge.lock",),
    ),
    Case(
        "lock with a commit of nobody",
        4,
        ("no such revision",),
        lock(lambda d: d["experts"]["coder"].update(commit="0" * 40)),
    ),
)


def licensed(public: bool = False, **licences: str | None) -> Callable[[Scene], None]:
    """The family with other licences on some cards; without any card where the licence is None."""

    def setup(scene: Scene) -> None:
        named = {}
        for role, licence in licences.items():
            card = f"---\nlicense: {licence}\n---\n".encode() if licence else None
            named[role] = scene.variant({"README.md": card}, role, role)
        scene.manifest("  private: false\n" if public else "", **named)

    return setup


def private_source(scene: Scene) -> None:
    """A public target, a private source."""
    scene.manifest("  private: false\n", coder=scene.variant({}, private=True))


def renamed_target(scene: Scene) -> None:
    """A target that is a source by its newer name."""
    old, new = scene.variant({}), f"demo/{scene.name}-two"
    scene.hub.store.move_repo(old, new)
    scene.manifest(coder=old, repo=new)


def foreign(scene: Scene) -> None:
    """A target that somebody made by hand."""
    scene.manifest(repo=scene.repo({"README.md": b"# Mine\n"}))


def no_rights(scene: Scene) -> None:
    """A token that may not write."""
    scene.env["HF_TOKEN"] = STRANGER.token
    scene.manifest()


def refused(name: str, code: int, *says: str, setup: Callable[[Scene], Any], **more: Any) -> Case:
    """A merge that must not be, or must not be published; the plan says so."""
    written = {"writes": ("merge.lock",)} if code == 7 else {}
    shown = {"shows": "ramekin plan: "} if "plan" in more.get("command", PLAN) else {}
    return Case(name, code, says, setup, **shown | written | more)


TERMS = (
    refused("no derivatives", 5, "allows no derivatives", "-coder", setup=licensed(coder="cc-by-nc-nd-4.0")),
    refused(
        "no derivatives in a merge", 5, "allows no derivatives", setup=licensed(tool="cc-by-nd-4.0"), command=MERGE
    ),
    refused(
        "two licences that exclude each other",
        5,
        "`gpl-3.0` of",
        "`cc-by-nc-4.0` of",
        "cannot both be met",
        setup=licensed(coder="gpl-3.0", tool="cc-by-nc-4.0"),
    ),
    refused(
        "no licence and a public target",
        7,
        "licence of a source is not known",
        "card.license",
        setup=licensed(public=True, coder=None),
        fresh=True,
    ),
    refused(
        "a licence of an attacker",
        7,
        "licence of a source is not known",
        setup=licensed(public=True, coder=json.dumps(EVIL)),
    ),
    refused(
        "a card licence that does not meet the sources",
        5,
        "does not meet",
        setup=lambda s: (
            licensed(coder="cc-by-nc-4.0")(s),
            s.write("merge.yaml", (s.directory / "merge.yaml").read_text() + "card:\n  license: mit\n"),
        ),
    ),
    refused("a private source and a public target", 7, "is public, and would show weights", setup=private_source),
    refused("a private source in a run", 7, "is public, and would show weights", setup=private_source, command=RUN),
    refused("target is a source renamed", 7, "is one of the sources", setup=renamed_target, command=(*PLAN, "--adopt")),
    refused("target of somebody else", 7, "was not made by ramekin", "--adopt", setup=foreign),
    refused("target of somebody else in a run", 7, "was not made by ramekin", setup=foreign, command=RUN),
    refused("a token that may not write", 7, "HF_TOKEN", setup=no_rights, command=RUN),
)


def merged(edit: Callable[[Scene], Any] = lambda scene: None, **output: Any) -> Callable[[Scene], None]:
    """A merged directory whose report says something else about its output, or with other files."""

    def setup(scene: Scene) -> None:
        scene.reported(**output)
        edit(scene)

    return setup


def file(path: str, content: str | bytes) -> Callable[[Scene], None]:
    """A merged directory one file of which is another."""
    return merged(lambda scene: scene.write(f"merged/{path}", content))


def named(name: str, size: int = 1, digest: str = "0" * 64) -> Callable[[Scene], None]:
    """A merged directory whose report names that file."""
    return merged(files={name: {"size": size, "sha256": digest}})


def published(changes: Mapping[str, Any]) -> Callable[[Scene], Any]:
    """A published merge that was tampered with."""
    return lambda scene: scene.published(changes)


def report_with(**changes: Any) -> Callable[[Scene], None]:
    """A merged directory with other keys in its report."""

    def setup(scene: Scene) -> None:
        scene.write(f"merged/{REPORT}", json.dumps(scene.merged() | changes))

    return setup


def remote(name: str, *says: str, changes: Mapping[str, Any], shows: str = "") -> Case:
    """A published merge that does not stand up to `verify`."""
    case = name.replace(" ", "-")
    return damaged(name, *says, setup=published(changes), command=("verify", f"demo/{case}-published"), shows=shows)


SHA: Final = "0" * 64
VERDICT: Final = "files are as the report has them"
DIRECTORIES = (
    Case("nothing to verify", 4, ("no such repository or directory",), lambda s: None, command=("verify", "demo/none")),
    Case(
        "a name that is none to verify", 4, ("namespace/name",), lambda s: None, command=("verify", "../../etc/passwd")
    ),
    Case("an evil name to verify", 4, ("namespace/name",), lambda s: None, command=("verify", EVIL + "x" * 10_000)),
    damaged("no report", "does not exist", setup=lambda s: s.write("merged/README.md", ""), command=VERIFY),
    damaged("no directory to publish", "does not exist", setup=lambda s: None, command=PUBLISH),
    damaged("no directory for a card", "does not exist", setup=lambda s: None, command=CARD),
    damaged("report is no text", "cannot be read", setup=file(REPORT, b"\xff\xfe"), command=VERIFY),
    damaged("report is no text for publish", "cannot be read", setup=file(REPORT, b"\xff\xfe"), command=PUBLISH),
    damaged("report is no text for card", "cannot be read", setup=file(REPORT, b"\xff\xfe"), command=CARD),
    damaged("report of another schema", "cannot be read", setup=report_with(schema=2), command=VERIFY),
    damaged("report without end", "cannot be read", setup=file(REPORT, "[" * 1_000_000), command=CARD),
    damaged("report of 40 MB", "cannot be read", setup=file(REPORT, b" " * 40_000_000), command=VERIFY),
    damaged("report with an evil key", "cannot be read", setup=report_with(key=f"sha256:{EVIL}"), command=VERIFY),
    damaged("report leads out", "cannot be read", setup=named("../../secret"), command=VERIFY),
    damaged("report leads out for publish", "cannot be read", setup=named("../../secret"), command=PUBLISH),
    damaged("report leads to the root", "cannot be read", setup=named("/etc/passwd"), command=PUBLISH),
    damaged("report names an evil file", "cannot be read", setup=named("x\n::error::y"), command=VERIFY),
    damaged("report with a digest of nobody", "cannot be read", setup=named("x", digest="abc"), command=CARD),
    damaged("report with a huge size", "is missing", setup=named("x", size=2**80), command=VERIFY, shows=VERDICT),
    damaged("a bidi name in a report", "is missing", setup=named(f"x{BIDI}"), command=VERIFY, shows=VERDICT),
    damaged("a tampered file", "config.json: differs", setup=file("config.json", "{}"), command=VERIFY, shows=VERDICT),
    damaged("a tampered file to publish", "config.json", setup=file("config.json", "{}"), command=PUBLISH),
    damaged(
        "a link in the place of a file",
        "is outside of the directory",
        command=VERIFY,
        shows=VERDICT,
        setup=merged(lambda s: _link(s, "merged/config.json", "/etc/passwd")),
    ),
    damaged(
        "a link to publish",
        "config.json",
        command=PUBLISH,
        setup=merged(lambda s: _link(s, "merged/config.json", "/etc/passwd")),
    ),
    usage(
        "a merged manifest that is wrong",
        "ramekin/merge.yaml:1",
        setup=file("ramekin/merge.yaml", "x: 1\n"),
        command=CARD,
    ),
    Case("a merged lock that is garbage", 3, ("is no lock",), file("ramekin/merge.lock", "{}"), command=PUBLISH),
    Case(
        "a merged lock of another merge",
        3,
        ("is not the lock of this merge",),
        report_with(key=f"sha256:{SHA}"),
        command=PUBLISH,
    ),
    damaged(
        "a report and a lock of two merges", "different merges", setup=report_with(key=f"sha256:{SHA}"), command=CARD
    ),
    remote("published without a report", "has no ramekin/report.json", changes={REPORT: None}),
    remote("published with a report that is no text", "cannot be read", changes={REPORT: b"\xff"}),
    remote("published with a report of 70 MB", "cannot be read", changes={REPORT: Sparse(b" ", 70_000_000)}),
    remote("published and tampered with", "config.json: differs", changes={"config.json": b"{}"}, shows=VERDICT),
    remote(
        "published with other weights",
        "model.safetensors: differs",
        changes={"model.safetensors": family()["tool"]["model.safetensors"]},
        shows=VERDICT,
    ),
    remote(
        "published with a file missing", "tokenizer.json: is missing", changes={"tokenizer.json": None}, shows=VERDICT
    ),
)


def _link(scene: Scene, path: str, target: str) -> None:
    place = scene.directory / path
    place.unlink()
    place.symlink_to(target)


CASES = (*MANIFESTS, *COMMANDS, *ENVIRONMENT, *LOCKS, *TERMS, *DIRECTORIES)
