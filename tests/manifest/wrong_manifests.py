"""Manifests with something wrong, each with the line that is to blame and words that the problem must have.

The line to blame ends in `#!`, or its number is given. `{…}` stands for the parts of `PARTS` that a case leaves as
they are.
"""

import json
from dataclasses import dataclass

from ramekin.methods import Method

PARTS = {
    "version": "version: 1\n",
    "base": "base: org/base\n",
    "experts": "experts:\n  coder: org/coder\n  tool: org/tool\n",
    "method": "method:\n  name: ram+\n",
    "output": "output:\n  repo: me/merged\n",
    "card": "",
    "benchmarks": "",
}


BENCHMARKS = "benchmarks:\n  tau:\n    expert: tool\n    role: tool-call\n    calibration: ./tau.jsonl\n"


@dataclass(frozen=True)
class Wrong:
    """One wrong manifest.

    Attributes:
        name: For the test's id.
        content: The file.
        what: Words that the problem's `what` has.
        hint: Words that its `hint` has.
        line: Line to blame.
        only: It is the only problem.
    """

    name: str
    content: bytes
    what: str
    hint: str
    line: int
    only: bool = True


def whole(**parts: str) -> str:
    """A manifest that is right, but for the parts given."""
    return "".join({**PARTS, **parts}.values())


def tau(**keys: str | None) -> str:
    """A benchmark that is right, but for the keys given; None leaves one out."""
    written = {"expert": "tool", "role": "tool-call", "calibration": "./tau.jsonl"} | keys
    return "benchmarks:\n  tau:\n" + "".join(
        f"    {key}: {text}\n" for key, text in written.items() if text is not None
    )


def arm(parameter: str = "", benchmarks: str = BENCHMARKS, **parts: str) -> str:
    """A manifest for ARM that is right, but for a parameter."""
    return whole(method=f"method:\n  name: arm\n{parameter and f'  {parameter}{chr(10)}'}", **parts) + benchmarks


def least(method: type[Method]) -> str:
    """A method with nothing but what it cannot be without."""
    needed = {key: info.examples[0] for key, info in method.fields().items() if info.is_required()}
    benchmarks = BENCHMARKS if method.uses_benchmarks else ""
    return f"method: {json.dumps({'name': method.title()} | needed)}\n{benchmarks}"


def _wrong(name: str, text: str | bytes, what: str, hint: str, line: int | None = None, *, only: bool = True) -> Wrong:
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    marked = [number for number, each in enumerate(content.split(b"\n"), 1) if each.endswith(b"#!")]
    return Wrong(name, content, what, hint, line if line is not None else marked[0], only)


_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [" + ", ".join([f"*{chr(97 + i)}"] * 9) + "]\n" for i in range(9)
)
_CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))

FILES = [
    _wrong("empty", "", "the file is empty", "ramekin init", 1),
    _wrong("only-comments", "# nothing\n\n# here\n", "the file is empty", "ramekin init", 1),
    _wrong("only-null", "null\n", "the file is empty", "ramekin init", 1),
    _wrong("only-bom", b"\xef\xbb\xbf", "the file is empty", "ramekin init", 1),
    _wrong("not-utf8", b"version: 1\nbase: \xff\xfe\n", "not UTF-8 text: byte 0xff", "UTF-8", 2),
    _wrong("utf16", whole().encode("utf-16"), "not UTF-8 text", "UTF-8", 1),
    _wrong("null-byte", "version: 1\nbase: a\0b\n", r"the character \x00", "plain text", 2),
    _wrong("escape", "version: 1\n\nbase: \x1b[31mred\n", r"the character \x1b", "plain text", 3),
    _wrong("gzip", b"\x1f\x8b\x08\x00" + bytes(range(128, 200)), "not UTF-8", "UTF-8", 1),
    _wrong("safetensors", b"\x10\0\0\0\0\0\0\0{}", r"the character \x10", "plain text", 1),
    _wrong("surrogate", whole(card="card:\n  title: '\ud800'\n"), "not UTF-8", "UTF-8", 11),
    _wrong("control-after-mac-newlines", "version: 1\r\rbase: \x07\r", r"the character \x07", "plain text", 3),
    _wrong("huge", b"# " + b"x\n# " * 300_000, "larger than 256 kB", "check the path", 1),
    _wrong("long-line", "version: 1\nbase: " + "x" * 30_000, "more than 25000 characters", "break", 2),
    _wrong("long-tag", "version: 1\nbase: !" + "x" * 200_000, "more than 25000 characters", "break", 2),
    _wrong("billion-laughs", _LAUGHS, "more than 5000 values", "few dozen", 4),
    _wrong("alias-chain", _CHAIN, "more than 16 deep", "five levels", 15),
    _wrong("many-keys", "".join(f"k{i}: v\n" for i in range(20_000)), "more than 5000 values", "few dozen", 2500),
    _wrong("deep-flow", "version: 1\nbase: " + "[" * 9_000, "more than 16 deep", "five levels", 2),
    _wrong("deep-flow-mappings", "version: 1\nbase: " + "{a: " * 5_000, "more than 16 deep", "five levels", 2),
    _wrong("deep-block-lists", "- " * 5_000, "more than 16 deep", "five levels", 1),
    _wrong("deep-block-keys", "? " * 5_000, "more than 16 deep", "five levels", 1),
    _wrong("tab", "version: 1\nexperts:\n\tcoder: org/coder\n", r"found character '\t'", "spaces", 3),
    _wrong("two-colons", "version: 1\nbase: org: base\n", "mapping values are not allowed", "in quotes", 2),
    _wrong("open-quote", "version: 1\nbase: 'org/base\n", "unexpected end of stream", "close the quote", 2),
    _wrong("open-bracket", "version: 1\ncard: {language: [en\n", "not valid YAML", "close the quote or bracket", 2),
    _wrong("no-colon", "version: 1\nbase org/base\nexperts: {}\n", "expected ':'", "key: value", 3),
    _wrong("bad-indent", "method:\n    name: ram\n  r: 1\n", "not valid YAML", "line up", 3),
    _wrong("at-sign", "version: 1\nbase: @org/base\n", "'@' that cannot start", "quotes", 2),
    _wrong("no-such-character", 'version: 1\nbase: "\\UFFFFFFFF"\n', "names no character", "single quotes", 2),
    _wrong("bad-escape", 'version: 1\nbase: "\\q"\n', "unknown escape", "single quotes", 2),
    _wrong("conflict-markers", "version: 1\n<<<<<<< HEAD\nbase: a/b\n=======\n", "not valid YAML", "key: value", 3),
    _wrong("two-documents", whole() + "---\nversion: 1\n", "more than one document", "---", 10),
    _wrong("yaml-1.1", "%YAML 1.1\n---\n" + whole(), "starts with a YAML directive", "line with `%`", 1),
    _wrong("tag-directive", "%TAG !e! tag:x,2000:\n---\n" + whole(), "YAML directive", "line with `%`", 1),
    _wrong(
        "a-list", "- org/base\n- org/coder\n", "the manifest is a list where a mapping is wanted", "ramekin init", 1
    ),
    _wrong("a-text", "org/base\n", "the manifest is the text `org/base`", "ramekin init", 1),
    _wrong("json-lines", '{"a": 1}\n{"b": 2}\n', "not valid YAML", "", 2),
]

KEYS = [
    _wrong(
        "twice",
        whole(method="method:\n  name: ram\n  epsilon: 1\n  epsilon: 2  #!\n"),
        "`method.epsilon` is written twice, first on line 8",
        "keep one",
    ),
    _wrong(
        "expert-twice",
        whole(experts="experts:\n  a: o/a\n  b: o/b\n  a: o/c  #!\n"),
        "`experts.a` is written twice, first on line 4",
        "keep one",
    ),
    _wrong("quoted-twice", whole() + '"version": 1  #!\n', "`version` is written twice, first on line 1", "keep one"),
    _wrong(
        "merge-key",
        whole(base="base: &b {repo: org/base}\n", output="output:\n  <<: *b  #!\n  repo: me/x\n"),
        "the merge key `<<` in `output` is not allowed",
        "write the keys out",
    ),
    _wrong("number-key", whole() + "7: seven  #!\n", "the key `7` at the top is not a text", '`"7":`'),
    _wrong("null-key", whole() + "~: x  #!\n", "the key `~` at the top is not a text", "quotes"),
    _wrong(
        "boolean-key", whole(experts="experts:\n  true: o/x  #!\n  b: o/b\n"), "the key `true` in `experts`", "quotes"
    ),
    _wrong("mapping-key", whole() + "? {a: b}  #!\n: x\n", "a key at the top is a mapping", "a name before"),
    _wrong(
        "list-key",
        whole(output="output:\n  repo: me/x\n  [a, b]: c  #!\n"),
        "a key in `output` is a list",
        "a name before",
    ),
    _wrong(
        "python-tag",
        whole(base="base: !!python/object/apply:os.system [id]  #!\n"),
        "the tag `!!python/object/apply:os.system` is not allowed",
        "without `!`",
    ),
    _wrong("plain-tag", whole(version="version: !!int 1  #!\n"), "the tag `!!int` is not allowed", "without `!`"),
    _wrong("binary-tag", whole(card="card:\n  title: !!binary aGk=  #!\n"), "the tag `!!binary`", "without `!`"),
    _wrong("tagged-key", whole() + "!!str nope: x  #!\n", "the tag `!!str`", "without `!`", only=False),
    _wrong("no-such-alias", whole(base="base: *nope  #!\n"), "the alias `*nope` names no anchor", "quotes"),
    _wrong(
        "alias-of-itself",
        whole(experts="experts: &e\n  a: o/a\n  b: *e  #!\n"),
        "the alias `*e` contains itself",
        "write the value out",
    ),
    _wrong(
        "unknown", whole() + "pubish: true  #!\n", "`pubish` is not a known key", "the keys here are `version`, `base`"
    ),
    _wrong("near", whole() + "cart: {}  #!\n", "`cart` is not a known key", "did you mean `card`?"),
    _wrong(
        "near-case",
        whole(output="output:\n  repo: me/x\n  Shard-Size: 5GB  #!\n"),
        "`output.Shard-Size` is not a known key",
        "did you mean `shard_size`?",
    ),
    _wrong(
        "near-source",
        whole(base="base:\n  repo: org/base\n  revison: main  #!\n"),
        "`base.revison` is not",
        "did you mean `revision`?",
    ),
    _wrong(
        "near-expert-source",
        whole(experts="experts:\n  a:\n    repos: o/a  #!\n    repo: o/a\n"),
        "`experts.a.repos` is not",
        "did you mean `repo`?",
    ),
    _wrong(
        "near-parameter",
        whole(method="method:\n  name: ram+\n  epsilonn: 1e-5  #!\n"),
        "`method.epsilonn` is not a parameter of `ram+`",
        "did you mean `epsilon`?",
    ),
    _wrong(
        "far-parameter",
        whole(method="method:\n  name: ram\n  temperature: 1  #!\n"),
        "`method.temperature` is not a parameter of `ram`",
        "the keys here are `name`, `epsilon`",
    ),
    _wrong(
        "other-parameter",
        whole(method="method:\n  name: ram+s\n  alpha: 2  #!\n"),
        "`method.alpha` is not a parameter of `ram+s`",
        "that has it: `ram+`",
    ),
    _wrong(
        "other-method-s-parameter",
        whole(method="method:\n  name: ties\n  scale: 1.0  #!\n"),
        "`method.scale` is not a parameter of `ties`",
        "that has it: `ram-unique`; the keys here are `name`, `density`, `weight`, `lambda`",
    ),
    _wrong(
        "near-lambda",
        whole(method="method:\n  name: dare-ties\n  lamda: 0.5  #!\n"),
        "`method.lamda` is not a parameter of `dare-ties`",
        "did you mean `lambda`?",
    ),
    _wrong(
        "lambda-elsewhere",
        whole(method="method:\n  name: dare\n  lambda: 0.5  #!\n"),
        "`method.lambda` is not a parameter of `dare`",
        "that has it: `ties`, `dare-ties`",
    ),
    _wrong(
        "parameter-of-none",
        whole(method="method:\n  name: average\n  weight: 0.5  #!\n"),
        "`method.weight` is not a parameter of `average`",
        "`task-arithmetic`, `ties`, `dare`, `dare-ties`",
    ),
    _wrong(
        "weight-twice",
        whole(method="method:\n  name: ties\n  weight:\n    coder: 1\n    tool: 1\n    coder: 2  #!\n"),
        "`method.weight.coder` is written twice",
        "keep one",
    ),
    _wrong(
        "escaped-key",
        whole() + '"\\e[2J\\n::error::x": 1  #!\n',
        r"`\x1b[2J\n::error::x` is not a known key",
        "the keys here",
    ),
    _wrong("key-of-the-validator", whole() + "'[key]': 1  #!\n", "`[key]` is not a known key", "the keys here"),
    _wrong(
        "expert-of-the-validator",
        whole(experts="experts:\n  '[key]': o/a  #!\n"),
        "the expert name `[key]`",
        "such as `key`",
    ),
    _wrong(
        "key-like-a-method",
        whole(method="method:\n  name: ram+\n  ram+: {epsilon: 1}  #!\n"),
        "`method.ram+` is not a parameter of `ram+`",
        "the keys here",
    ),
    _wrong(
        "method-key-and-value",
        whole(method="method:\n  name: ram+\n  ram+: {r: 1}\n  r: x  #!\n"),
        "`method.r` is the text `x`",
        "`r: 0.1`",
        only=False,
    ),
    _wrong("endless-key", whole() + "k" * 900 + ": 1  #!\n", "k…k", "the keys here"),
    _wrong("right-to-left-key", whole() + "\u202eevil: 1  #!\n", r"`\u202eevil` is not", "the keys here"),
]

VALUES = [
    _wrong(
        "version-2",
        whole(version="version: 2  #!\n"),
        "`version: 2` is newer than this ramekin",
        "pip install --upgrade ramekin",
    ),
    _wrong("version-0", whole(version="version: 0  #!\n"), "`version` is the number 0, not a version", "`version: 1`"),
    _wrong("version-text", whole(version='version: "1"  #!\n'), "`version` is the text `1`", "without quotes"),
    _wrong("version-float", whole(version="version: 1.0  #!\n"), "`version: 1.0` is not a version", "`version: 1`"),
    _wrong("version-true", whole(version="version: true  #!\n"), "`version` is not a version", "`version: 1`"),
    _wrong("version-empty", whole(version="version:  #!\n"), "`version` is empty", "`version: 1`"),
    _wrong("no-version", whole(version=""), "`version` is missing", "write for example `version: 1`", 1),
    _wrong(
        "no-base", "# x\n" + whole(base=""), "`base` is missing", "`org/name`, `org/name@revision` or `./directory`", 2
    ),
    _wrong("no-experts", whole(experts=""), "`experts` is missing", "`name: org/name` below it", 1),
    _wrong(
        "no-repo", whole(output="output:  #!\n  private: true\n"), "`output.repo` is missing", "`repo: my-org/agent-7b`"
    ),
    _wrong(
        "no-method-name",
        whole(method="method:  #!\n  epsilon: 0\n"),
        "`method.name` is missing",
        "`ram`, `ram+`, `ram+s`",
    ),
    _wrong("empty-experts", whole(experts="experts: {}  #!\n"), "`experts` is empty", "`name: org/name` below it"),
    _wrong("null-experts", whole(experts="experts:  #!\n"), "`experts` is empty where a mapping is wanted", "below it"),
    _wrong(
        "null-output",
        whole(output="output:  #!\n"),
        "`output` is empty where a mapping is wanted",
        "`repo: namespace/name`",
    ),
    _wrong("null-card", whole(card="card:  #!\n"), "`card` is empty where a mapping is wanted", "or remove it"),
    _wrong(
        "list-experts",
        whole(experts="experts:  #!\n  - org/a\n  - org/b\n"),
        "`experts` is a list where a mapping is wanted",
        "one line for each",
    ),
    _wrong(
        "null-expert",
        whole(experts="experts:\n  a: org/a\n  b:  #!\n"),
        "`experts.b` is empty where a source is wanted",
        "`org/name`",
    ),
    _wrong(
        "number-expert",
        whole(experts="experts:\n  a: 17  #!\n"),
        "`experts.a` is the number 17 where a source",
        "`org/name`",
    ),
    _wrong(
        "list-base", whole(base="base: [org/base]  #!\n"), "`base` is a list where a source is wanted", "`org/name`"
    ),
    _wrong(
        "many-experts",
        whole(experts="experts:  #!\n" + "".join(f"  e{i}: o/e{i}\n" for i in range(17))),
        "`experts` has more than 16 entries",
        "at most 16",
    ),
    _wrong(
        "expert-name",
        whole(experts="experts:\n  Tool Use!: org/tool  #!\n"),
        "the expert name `Tool Use!` is not possible",
        "such as `tool-use`",
    ),
    _wrong(
        "expert-name-dash",
        whole(experts="experts:\n  -x: org/tool  #!\n"),
        "the expert name `-x`",
        "start with a letter",
    ),
    _wrong(
        "expert-name-letters",
        whole(experts="experts:\n  écrire: org/tool  #!\n"),
        "the expert name `écrire`",
        "lower-case",
    ),
    _wrong(
        "expert-name-line", whole(experts='experts:\n  "a\\n": org/tool  #!\n'), r"the expert name `a\n`", "lower-case"
    ),
    _wrong("expert-name-long", whole(experts=f"experts:\n  {'x' * 65}: org/tool  #!\n"), "too long", "at most 64"),
    _wrong("expert-name-empty", whole(experts='experts:\n  "": org/tool  #!\n'), "the expert name ``", "lower-case"),
    _wrong("bare-repo", whole(base="base: gpt2  #!\n"), "`base: gpt2` is not a repository id", "`namespace/name`"),
    _wrong(
        "repo-url",
        whole(base="base: https://huggingface.co/org/base  #!\n"),
        "is not a repository id",
        "namespace/name",
    ),
    _wrong(
        "repo-dots", whole(base="base: org/../x  #!\n"), "`base: org/../x` is not a repository id", "namespace/name"
    ),
    _wrong(
        "repo-number",
        whole(base="base:\n  repo: 5  #!\n"),
        "`base.repo` is the number 5 where a text is wanted",
        "`repo: org/name`",
    ),
    _wrong(
        "repo-list",
        whole(output="output:\n  repo: [me/x]  #!\n"),
        "`output.repo` is a list where a text",
        "`repo: my-org/agent-7b`",
    ),
    _wrong("empty-repo", whole(base="base: ''  #!\n"), "`base: ` is not a repository id", "namespace/name"),
    _wrong("empty-revision", whole(base="base: org/base@  #!\n"), "is not a branch, tag or commit", "`main`"),
    _wrong(
        "digits-revision",
        whole(base="base:\n  repo: org/base\n  revision: 1234567  #!\n"),
        "`base.revision` is the number 1234567",
        'quotes: `"1234567"`',
    ),
    _wrong(
        "float-revision",
        whole(base="base:\n  repo: org/base\n  revision: 12e4567  #!\n"),
        "`base.revision` is the number 12e4567",
        'quotes: `"12e4567"`',
    ),
    _wrong("option-revision", whole(base="base: org/base@--force  #!\n"), "is not a branch, tag or commit", "`main`"),
    _wrong(
        "neither", whole(base="base:  #!\n  revision: main\n"), "`base` names no checkpoint", "`repo: namespace/name`"
    ),
    _wrong("nothing", whole(base="base: {}  #!\n"), "`base` names no checkpoint", "`path: ./directory`"),
    _wrong(
        "both", whole(base="base: {repo: org/base, path: ./x}  #!\n"), "`base` has both `repo` and `path`", "keep one"
    ),
    _wrong(
        "path-revision",
        whole(base="base: {path: ./x, revision: main}  #!\n"),
        "`base` has a revision",
        "remove `revision`",
    ),
    _wrong("path-control", whole(base='base: "./a\\nb"  #!\n'), r"`base: ./a\nb` is not a path", "`./directory`"),
    _wrong("path-empty", whole(base='base: {path: ""}  #!\n'), "`base.path` is empty", "`path: ./directory`"),
    _wrong(
        "method-text",
        whole(method="method: ram+  #!\n"),
        "`method` is the text `ram+` where a mapping",
        "`name: ram+` below it",
    ),
    _wrong(
        "method-near",
        whole(method="method:  #!\n  name: RAM-plus\n"),
        "`method.name: RAM-plus` is not a method",
        "the methods here are",
        7,
    ),
    _wrong(
        "method-number",
        whole(method="method:\n  name: 1e3\n"),
        "`method.name` is the number 1e3",
        "the methods here are",
        7,
    ),
    _wrong(
        "method-list", whole(method="method:\n  name: [ram]\n"), "`method.name` is a list", "the methods here are", 7
    ),
    _wrong(
        "negative",
        whole(method="method:\n  name: ram\n  epsilon: -1e-5  #!\n"),
        "`method.epsilon: -1e-5` is out of range: it must be at least 0",
        "`epsilon: 1e-05`",
    ),
    _wrong(
        "nan",
        whole(method="method:\n  name: ram\n  epsilon: .nan  #!\n"),
        "`method.epsilon: .nan` is not a finite number",
        "`epsilon: 1e-05`",
    ),
    _wrong(
        "infinite",
        whole(method="method:\n  name: ram+\n  alpha: .inf  #!\n"),
        "`method.alpha: .inf` is not a finite",
        "`alpha: 2.0`",
    ),
    _wrong(
        "too-large",
        whole(method="method:\n  name: ram+\n  alpha: 1e999  #!\n"),
        "`method.alpha: 1e999` is not a finite",
        "`alpha: 2.0`",
    ),
    _wrong(
        "endless",
        whole(method=f"method:\n  name: ram+\n  alpha: {'9' * 5000}  #!\n"),
        "`method.alpha` is a number with more than 40 digits",
        "smaller",
    ),
    _wrong(
        "true-number",
        whole(method="method:\n  name: ram+\n  alpha: true  #!\n"),
        "`method.alpha` is `true` where a number is wanted",
        "`alpha: 2.0`",
    ),
    _wrong(
        "text-number",
        whole(method='method:\n  name: ram+\n  r: "0.1"  #!\n'),
        "`method.r` is the text `0.1` where a number",
        "without quotes: `r: 0.1`",
    ),
    _wrong(
        "underscored",
        whole(method="method:\n  name: ram+\n  alpha: 1_0  #!\n"),
        "`method.alpha` is the text `1_0`",
        "alpha",
    ),
    _wrong(
        "null-number",
        whole(method="method:\n  name: ram+\n  r:  #!\n"),
        "`method.r` is empty where a number",
        "`r: 0.1`",
    ),
    _wrong(
        "list-number",
        whole(method="method:\n  name: ram+\n  r: [0.1]  #!\n"),
        "`method.r` is a list where a number",
        "`r: 0.1`",
    ),
    _wrong(
        "drop-all",
        whole(method="method:\n  name: dare\n  drop_rate: 1  #!\n"),
        "`method.drop_rate: 1` is out of range: it must be less than 1",
        "`drop_rate: 0.5`",
    ),
    _wrong(
        "no-density",
        whole(method="method:\n  name: ties\n  density: 0  #!\n"),
        "`method.density: 0` is out of range: it must be more than 0",
        "`density: 0.2`",
    ),
    _wrong(
        "negative-lambda",
        whole(method="method:\n  name: ties\n  lambda: -0.5  #!\n"),
        "`method.lambda: -0.5` is out of range: it must be at least 0",
        "`lambda: 1.0`",
    ),
    _wrong(
        "negative-seed",
        whole(method="method:\n  name: dare\n  seed: -1  #!\n"),
        "`method.seed: -1` is out of range",
        "`seed: 0`",
    ),
    _wrong(
        "float-seed",
        whole(method="method:\n  name: dare-ties\n  seed: 1.5  #!\n"),
        "`method.seed` is the number 1.5 where a whole number is wanted",
        "`seed: 0`",
    ),
    _wrong(
        "text-seed",
        whole(method="method:\n  name: dare\n  seed: seven  #!\n"),
        "`method.seed` is the text `seven` where a whole number",
        "`seed: 0`",
    ),
    _wrong(
        "number-filter-wise",
        whole(method="method:\n  name: model-stock\n  filter_wise: 1  #!\n"),
        "`method.filter_wise` is the number 1 where true or false",
        "`filter_wise: true`",
    ),
    _wrong(
        "negative-weight",
        whole(method="method:\n  name: ties\n  weight: -1  #!\n"),
        "`method.weight: -1` is out of range: it must be at least 0",
        "`weight: 0.5`",
    ),
    _wrong(
        "negative-weight-by-name",
        whole(method="method:\n  name: dare-ties\n  weight:\n    coder: 1\n    tool: -1  #!\n"),
        "`method.weight.tool: -1` is out of range: it must be at least 0",
        "`tool: 1.0`",
    ),
    _wrong(
        "huge-weight",
        whole(method="method:\n  name: task-arithmetic\n  weight: -1e7  #!\n"),
        "`method.weight: -1e7` is out of range: it must be at least -1e+06",
        "`weight: 0.5`",
    ),
    _wrong(
        "infinite-weight",
        whole(method="method:\n  name: dare\n  weight: {coder: 1, tool: .inf}  #!\n"),
        "`method.weight.tool: .inf` is not a finite number",
        "`tool: 1.0`",
    ),
    _wrong(
        "text-weight",
        whole(method="method:\n  name: task-arithmetic\n  weight: {coder: heavy, tool: 1}  #!\n"),
        "`method.weight.coder` is the text `heavy` where a number is wanted",
        "`coder: 1.0`",
    ),
    _wrong(
        "true-weight",
        whole(method="method:\n  name: ties\n  weight: true  #!\n"),
        "`method.weight` is `true` where a number",
        "`weight: 0.5`",
    ),
    _wrong(
        "list-weight",
        whole(method="method:\n  name: dare\n  weight: [1, 1]  #!\n"),
        "`method.weight` is a list where a number",
        "`weight: 0.5`",
    ),
    _wrong(
        "null-weight",
        whole(method="method:\n  name: task-arithmetic\n  weight:  #!\n"),
        "`method.weight` is empty where a number",
        "`weight: 0.5`",
    ),
    _wrong(
        "empty-weight",
        whole(method="method:\n  name: task-arithmetic\n  weight: {}  #!\n"),
        "`method.weight` is empty",
        "`weight: 0.5`",
    ),
    _wrong(
        "many-weights",
        whole(method="method:\n  name: ties\n  weight:  #!\n" + "".join(f"    e{i}: 1\n" for i in range(17))),
        "`method.weight` has more than 16 entries",
        "at most 16",
    ),
    _wrong(
        "deep-weight",
        whole(method="method:\n  name: ties\n  weight: {coder: {x: 1}, tool: 1}  #!\n"),
        "`method.weight.coder` is a mapping where a number",
        "`coder: 1.0`",
    ),
    _wrong(
        "missing-weight",
        whole(method="method:\n  name: dare\n  weight:  #!\n    coder: 0.5\n"),
        "`method.weight` has no number for `tool`",
        "`tool: 1.0` below it, or one number for all experts",
    ),
    _wrong(
        "weight-of-none",
        whole(method="method:\n  name: ties\n  weight:\n    coder: 1\n    tool: 1\n    tols: 1  #!\n"),
        "`method.weight.tols` is none of the experts",
        "did you mean `tool`? the experts are `coder`, `tool`",
    ),
    _wrong(
        "weight-of-the-base",
        whole(method="method:\n  name: ties\n  weight: {coder: 1, tool: 1, base: 1}  #!\n"),
        "`method.weight.base` is none of the experts",
        "the experts are `coder`, `tool`",
    ),
    _wrong(
        "weight-of-the-validator",
        whole(method="method:\n  name: ties\n  weight: {coder: 1, tool: 1, 'by name': -1}  #!\n"),
        "`method.weight.by name: -1` is out of range",
        "`by name: 1.0`",
    ),
    _wrong(
        "weight-of-a-strange-name",
        whole(method='method:\n  name: ties\n  weight: {coder: 1, tool: 1, "\\e[2J\\u202e": 1}  #!\n'),
        r"`method.weight.\x1b[2J\u202e` is none of the experts",
        "the experts are",
    ),
    _wrong(
        "text-as-weight-of-a-strange-name",
        whole(method='method:\n  name: task-arithmetic\n  weight:\n    "a\\x1f\\u2028": "0"  #!\n'),
        r"`method.weight.a\x1f\u2028` is the text `0` where a number is wanted",
        r"write it without quotes: `a\x1f\u2028: 0`",
    ),
    _wrong(
        "weight-of-no-character",
        whole(method='method:\n  name: ties\n  weight: {coder: 1, tool: 1, "\\ud800": 1}  #!\n'),
        r"`method.weight.\ud800` is none of the experts",
        "the experts are",
    ),
    _wrong(
        "unique-of-whom",
        whole(method="method:  #!\n  name: ram-unique\n"),
        "`method.expert` is missing",
        "`expert: coder`",
    ),
    _wrong(
        "unique-of-none",
        whole(method="method:\n  name: ram-unique\n  expert: codr  #!\n"),
        "`method.expert: codr` is none of the experts",
        "did you mean `coder`? the experts are `coder`, `tool`",
    ),
    _wrong(
        "unique-number",
        whole(method="method:\n  name: ram-unique\n  expert: 1  #!\n"),
        "`method.expert` is the number 1 where a text is wanted",
        'quotes: `"1"`',
    ),
    _wrong(
        "unique-empty",
        whole(method="method:\n  name: ram-unique\n  expert: ''  #!\n"),
        "`method.expert` is empty",
        "`expert: coder`",
    ),
    _wrong(
        "stock-of-one",
        whole(experts="experts:\n  a: org/a\n", method="method:\n  name: model-stock  #!\n"),
        "`method.name: model-stock` needs at least 2 experts",
        "another method",
    ),
    _wrong(
        "yes",
        whole(output="output:\n  repo: me/x\n  private: yes  #!\n"),
        "`output.private` is the text `yes` where true or false",
        "`private: true`",
    ),
    _wrong(
        "one",
        whole(output="output:\n  repo: me/x\n  private: 1  #!\n"),
        "`output.private` is the number 1 where true",
        "`private: false`",
    ),
    _wrong(
        "quoted-true",
        whole(output='output:\n  repo: me/x\n  private: "true"  #!\n'),
        "`output.private` is the text `true`",
        "`private: true`",
    ),
    _wrong(
        "dtype",
        whole(output="output:\n  repo: me/x\n  dtype: bf16  #!\n"),
        "`output.dtype` is the text `bf16`, which is not",
        "did you mean `bfloat16`? write one of `bfloat16`, `float16`, `float32`",
    ),
    _wrong(
        "dtype-number",
        whole(output="output:\n  repo: me/x\n  dtype: 16  #!\n"),
        "`output.dtype` is the number 16, which",
        "`float16`",
    ),
    _wrong(
        "no-size",
        whole(output="output:\n  repo: me/x\n  shard_size: large  #!\n"),
        "`output.shard_size: large` is not a size",
        "`5GB`",
    ),
    _wrong(
        "zero-size",
        whole(output="output:\n  repo: me/x\n  shard_size: 0  #!\n"),
        "`output.shard_size: 0` is out of range",
        "1 byte",
    ),
    _wrong(
        "part-of-byte", whole(output="output:\n  repo: me/x\n  shard_size: 0.4B  #!\n"), "is out of range", "1 byte"
    ),
    _wrong(
        "huge-size",
        whole(output="output:\n  repo: me/x\n  shard_size: 1001TB  #!\n"),
        "`output.shard_size: 1001TB` is out of range",
        "1000 TB",
    ),
    _wrong(
        "endless-size",
        whole(output=f"output:\n  repo: me/x\n  shard_size: {'9' * 400}GB  #!\n"),
        "is not a size",
        "`5GB`",
    ),
    _wrong(
        "float-size",
        whole(output="output:\n  repo: me/x\n  shard_size: 5.5  #!\n"),
        "`output.shard_size` is the number 5.5 where a size",
        "`shard_size: 5GB`",
    ),
    _wrong(
        "true-size",
        whole(output="output:\n  repo: me/x\n  shard_size: true  #!\n"),
        "`output.shard_size` is `true` where a size",
        "5GB",
    ),
    _wrong(
        "number-tag",
        whole(output="output:\n  repo: me/x\n  tag: 1.0  #!\n"),
        "`output.tag` is the number 1.0 where a text",
        'quotes: `"1.0"`',
    ),
    _wrong(
        "bad-tag",
        whole(output="output:\n  repo: me/x\n  tag: a..b  #!\n"),
        "`output.tag: a..b` is not a branch, tag",
        "v1.0",
    ),
    *(
        _wrong(
            f"collection-{number}",
            whole(output=f"output:\n  repo: me/x\n  collection: {written}  #!\n"),
            "`output.collection",
            "slug such as",
        )
        for number, written in enumerate(("me/agents", "me/agents-0123456789abcdef0123456", '"a\\tb"', "x" * 61))
    ),
    _wrong(
        "bad-supersedes",
        whole(output="output:\n  repo: me/x\n  supersedes: old  #!\n"),
        "`output.supersedes: old` is not a repository id",
        "namespace/name",
    ),
    _wrong(
        "title-lines", whole(card='card:\n  title: "a\\nb"  #!\n'), r"`card.title: a\nb` has a line break", "one line"
    ),
    _wrong("title-escape", whole(card='card:\n  title: "\\e[31m"  #!\n'), r"`card.title: \x1b[31m`", "one line"),
    _wrong(
        "title-surrogate",
        whole(card='card:\n  title: "\\ud800"  #!\n'),
        "`card.title` has an escape that is no character",
        "Agent 7B",
    ),
    _wrong(
        "title-long",
        whole(card=f"card:\n  title: {'x' * 201}  #!\n"),
        "`card.title` has more than 200 characters",
        "at most 200",
    ),
    _wrong(
        "title-date",
        whole(card="card:\n  title: 2026  #!\n"),
        "`card.title` is the number 2026 where a text",
        'quotes: `"2026"`',
    ),
    _wrong(
        "summary-reversed", whole(card='card:\n  summary: "\\u202e"  #!\n'), "has a control character", "plain text"
    ),
    _wrong("license-case", whole(card="card:\n  license: Apache License  #!\n"), "is not a licence id", "`apache-2.0`"),
    _wrong(
        "language-number",
        whole(card="card:\n  language: [en, 5]  #!\n"),
        "`card.language.1` is the number 5",
        'quotes: `"5"`',
    ),
    _wrong("language-words", whole(card="card:\n  language: in English  #!\n"), "not a language code", "`en`"),
    _wrong(
        "language-mapping",
        whole(card="card:\n  language: {en: 1}  #!\n"),
        "`card.language` is a mapping where a list",
        "`language: [en]`",
    ),
    _wrong(
        "same-expert",
        whole(experts="experts:\n  a: org/x\n  b: {repo: org/X, revision: main}  #!\n"),
        "`experts.b` is the same checkpoint as `experts.a`",
        "once",
    ),
    _wrong(
        "same-path",
        whole(experts="experts:\n  a: ./x\n  b: ./y/../x/  #!\n"),
        "`experts.b` is the same checkpoint as",
        "once",
    ),
    _wrong(
        "base-expert",
        whole(experts="experts:\n  a: org/base  #!\n"),
        "`experts.a` is the same checkpoint as `base`",
        "trained from the base",
    ),
    _wrong(
        "output-source",
        whole(output="output:\n  repo: org/Coder  #!\n"),
        "`output.repo: org/Coder` is one of the sources",
        "another repository",
    ),
    _wrong(
        "supersedes-itself",
        whole(output="output:\n  repo: my-org/agent\n  supersedes: My-Org/Agent  #!\n"),
        "`output.supersedes: My-Org/Agent` is the output itself",
        "the older repository",
    ),
]

_ARMS = ", ".join(f"`{name}`" for name in ("coder", "tool", "average", "task-arithmetic", "ties", "dare", "dare-ties"))

CHOICES = [
    _wrong(
        "arm-alone",
        whole(method="method:\n  name: arm  #!\n"),
        "`method.name: arm` needs `benchmarks`, and there are none",
        "write what the merge is to be good at",
    ),
    _wrong(
        "arm-of-nothing",
        whole(method="method:\n  name: best-of  #!\n") + "benchmarks: {}\n",
        "`method.name: best-of` needs `benchmarks`",
        "docs/arm.md",
    ),
    _wrong(
        "arm-of-one",
        arm(experts="experts:\n  tool: org/tool\n").replace("arm\n", "arm  #!\n"),
        "`method.name: arm` needs at least 2 experts",
        "another expert",
    ),
    _wrong(
        "benchmarks-null",
        whole() + "benchmarks:  #!\n",
        "`benchmarks` is empty where a mapping is wanted",
        "write a name below it, and `expert`, `role` and `calibration` below that",
    ),
    _wrong(
        "benchmarks-list",
        arm(benchmarks="benchmarks: [tau]  #!\n"),
        "`benchmarks` is a list where a mapping is wanted",
        "write a name below it",
    ),
    _wrong(
        "benchmark-text",
        arm(benchmarks="benchmarks:\n  tau: tool  #!\n"),
        "`benchmarks.tau` is the text `tool` where a mapping is wanted",
        "`expert`, `role` and `calibration` below it",
    ),
    _wrong(
        "benchmark-null",
        arm("repair: [tau]", "benchmarks:\n  tau:  #!\n"),
        "`benchmarks.tau` is empty where a mapping is wanted",
        "below it",
    ),
    _wrong(
        "benchmark-name",
        whole() + BENCHMARKS.replace("tau:\n", "Tau Bench!:  #!\n"),
        "the benchmark name `Tau Bench!` is not possible",
        "such as `tau-bench`",
    ),
    _wrong(
        "benchmark-name-escape",
        whole() + tau(expert="tol").replace("tau:\n", '"\\e[2J":  #!\n'),
        r"the benchmark name `\x1b[2J` is not possible",
        "start with a letter or digit, such as `2j`",
        only=False,
    ),
    _wrong(
        "expert-of-a-strange-benchmark",
        whole() + tau(expert="tol  #!").replace("tau:\n", '"\\e[2J\\u202e":\n'),
        r"`benchmarks.\x1b[2J\u202e.expert: tol` is none of the experts",
        "did you mean `tool`?",
        only=False,
    ),
    _wrong(
        "benchmark-name-line",
        whole() + BENCHMARKS.replace("tau:\n", '"tau\\n":  #!\n'),
        r"the benchmark name `tau\n` is not possible",
        "such as `tau`",
    ),
    _wrong(
        "benchmark-name-long",
        whole() + BENCHMARKS.replace("tau:\n", f"{'x' * 65}:  #!\n"),
        "is too long",
        "write at most 64 characters",
    ),
    _wrong(
        "expert-name-long-mapping",
        whole(experts=f"experts:\n  {'x' * 65}: {{repo: org/tool}}  #!\n"),
        "the expert name `xxx",
        "write at most 64 characters",
    ),
    _wrong(
        "benchmark-name-empty",
        whole() + BENCHMARKS.replace("tau:\n", '"":  #!\n'),
        "the benchmark name `` is not possible",
        "lower-case",
    ),
    _wrong(
        "many-benchmarks",
        whole()
        + "benchmarks:  #!\n"
        + "".join(f"  b{i}: {{expert: tool, role: none, calibration: x}}\n" for i in range(65)),
        "`benchmarks` has more than 64 entries",
        "at most 64",
    ),
    _wrong(
        "benchmark-twice",
        whole() + BENCHMARKS + "  tau: {}  #!\n",
        "`benchmarks.tau` is written twice, first on line 11",
        "keep one",
    ),
    _wrong(
        "near-benchmark",
        whole() + tau(calibraton="x  #!"),
        "`benchmarks.tau.calibraton` is not a known key",
        "did you mean `calibration`?",
    ),
    _wrong(
        "far-benchmark",
        whole() + tau(budget="1  #!"),
        "`benchmarks.tau.budget` is not a known key",
        "the keys here are `expert`, `role`, `calibration`, `dev`",
    ),
    *(
        _wrong(
            f"no-{key}",
            whole() + tau(**{key: None}).replace("tau:\n", "tau:  #!\n"),
            f"`benchmarks.tau.{key}` is missing",
            example,
        )
        for key, example in {
            "expert": "`expert: tool`",
            "role": "`role: tool-call`",
            "calibration": "`calibration: ./calibration/tau.jsonl`",
        }.items()
    ),
    _wrong(
        "donor",
        whole() + tau(expert="tol  #!"),
        "`benchmarks.tau.expert: tol` is none of the experts",
        "did you mean `tool`? the experts are `coder`, `tool`",
    ),
    _wrong(
        "donor-of-a-base",
        arm(benchmarks=tau(expert="base  #!")),
        "`benchmarks.tau.expert: base` is none of the experts",
        "the experts are `coder`, `tool`",
    ),
    _wrong(
        "donor-list",
        whole() + tau(expert="[tool]  #!"),
        "`benchmarks.tau.expert` is a list where a text is wanted",
        "`expert: tool`",
    ),
    _wrong(
        "role-near",
        whole() + tau(role="tool_calls  #!"),
        "`benchmarks.tau.role: tool_calls` is not a role",
        "did you mean `tool-call`? the roles are `tool-call`, `react-json`, `officebench`",
    ),
    _wrong(
        "role-named-near",
        whole() + tau(role="{name: webshopp}  #!"),
        "`benchmarks.tau.role` is not a role",
        "did you mean `webshop`?",
    ),
    _wrong("role-far", whole() + tau(role="xyz  #!"), "`benchmarks.tau.role: xyz` is not a role", "the roles are"),
    _wrong(
        "role-null",
        whole() + tau(role=" #!"),
        "`benchmarks.tau.role` is empty where a role is wanted",
        "`role: tool-call`",
    ),
    _wrong(
        "role-number",
        whole() + tau(role="7  #!"),
        "`benchmarks.tau.role` is the number 7 where a role",
        "`role: tool-call`",
    ),
    _wrong(
        "role-list",
        whole() + tau(role="[tool-call]  #!"),
        "`benchmarks.tau.role` is a list where a role",
        "`role: tool-call`",
    ),
    _wrong(
        "role-of-nothing",
        whole() + tau(role="{}  #!"),
        "`benchmarks.tau.role` is no role",
        "write the name of one, or one of `regex` and `json` below it",
    ),
    _wrong(
        "role-of-both",
        whole() + tau(role="{regex: a, json: last}  #!"),
        "`benchmarks.tau.role` is no role",
        "one of `regex` and `json`",
    ),
    _wrong(
        "role-and-regex",
        whole() + tau(role="{name: webshop, regex: a}  #!"),
        "`benchmarks.tau.role` is no role",
        "write the name of one",
    ),
    _wrong(
        "tags-of-another",
        whole() + tau(role="{name: webshop, keep_tags: true}  #!"),
        "`benchmarks.tau.role` has `keep_tags`",
        "leave it out: only `officebench` has tags to keep",
    ),
    _wrong(
        "tags-of-json",
        whole() + tau(role="{json: last, keep_tags: true}  #!"),
        "`benchmarks.tau.role` has `keep_tags`",
        "only `officebench`",
    ),
    _wrong(
        "tags-of-nothing",
        whole() + tau(role="{keep_tags: true}  #!"),
        "`benchmarks.tau.role` is no role",
        "write the name of one",
    ),
    _wrong(
        "tags-text",
        whole() + tau(role="{name: officebench, keep_tags: yes}  #!"),
        "`benchmarks.tau.role.keep_tags` is the text `yes` where",
        "keep_tags: true",
    ),
    _wrong(
        "tags-near",
        whole() + tau(role="{name: officebench, keep_tag: true}  #!"),
        "`benchmarks.tau.role.keep_tag` is not a known key",
        "did you mean `keep_tags`?",
    ),
    _wrong(
        "role-key",
        whole() + tau(role="{regexp: a}  #!"),
        "`benchmarks.tau.role.regexp` is not a known key",
        "did you mean `regex`?",
    ),
    _wrong(
        "role-json",
        whole() + tau(role="{json: lst}  #!"),
        "`benchmarks.tau.role.json` is the text `lst`, which is not among its values",
        "did you mean `last`? write one of `first`, `last`, `all`",
    ),
    _wrong(
        "regex",
        whole() + tau(role='\n      regex: "(a"  #!'),
        "`benchmarks.tau.role.regex: (a` is not a regular expression",
        "Python says: missing ), unterminated subpattern at position 0",
    ),
    _wrong(
        "regex-escape",
        whole() + tau(role='{regex: "(?\\e[2J)"}  #!'),
        r"`benchmarks.tau.role.regex: (?\x1b[2J)` is not a regular expression",
        r"unknown extension ?\x1b at position 1",
    ),
    _wrong(
        "regex-overflow",
        whole() + tau(role='{regex: "a{99999999999}"}  #!'),
        "is not a regular expression",
        "Python says: the repetition number is too large",
    ),
    _wrong(
        "regex-empty",
        whole() + tau(role='{regex: ""}  #!'),
        "`benchmarks.tau.role.regex` is empty",
        "`regex: <answer>",
    ),
    _wrong(
        "regex-long",
        whole() + tau(role=f"{{regex: {'x' * 1001}}}  #!"),
        "`benchmarks.tau.role.regex` has more than 1000 characters",
        "at most 1000",
    ),
    *(
        _wrong(
            f"data-{name}",
            whole() + tau(**{key: f"{text}  #!"}),
            f"`benchmarks.tau.{key}: {text}` is no file of a dataset",
            "`hf://datasets/org/name@revision/path.jsonl`",
        )
        for name, key, text in (
            ("no-file", "calibration", "hf://datasets/org/name"),
            ("no-path", "calibration", "hf://datasets/org/name@main/"),
            ("model", "dev", "hf://org/name/x.jsonl"),
            ("short", "dev", "hf://datasets/name/x.jsonl@main"),
            ("above", "calibration", "hf://datasets/org/name@main/a/../../x.jsonl"),
            ("above-at-the-end", "dev", "hf://datasets/org/name/a/.."),
            ("above-first", "dev", "hf://datasets/org/name/../x"),
            ("dots-in-revision", "calibration", "hf://datasets/org/name@a..b/x.jsonl"),
            ("option-in-revision", "calibration", "hf://datasets/org/name@--x/x.jsonl"),
            ("no-revision", "calibration", "hf://datasets/org/name@/x.jsonl"),
            ("bad-owner", "calibration", "hf://datasets/o--rg/name/x.jsonl"),
            ("git", "chat_template", "hf://datasets/org/name.git/x"),
            ("template", "chat_template", "hf://x"),
        )
    ),
    _wrong(
        "data-lines",
        whole() + tau(calibration='"a\\nb"  #!'),
        r"`benchmarks.tau.calibration: a\nb` is not a path",
        "`./calibration.jsonl`",
    ),
    _wrong(
        "data-empty", whole() + tau(dev='""  #!'), "`benchmarks.tau.dev` is empty", "`dev: ./calibration/tau.jsonl`"
    ),
    _wrong(
        "data-null",
        whole() + tau(calibration=" #!"),
        "`benchmarks.tau.calibration` is empty where a text",
        "`calibration: ./calibration/tau.jsonl`",
    ),
    _wrong(
        "data-number",
        whole() + tau(dev="7  #!"),
        "`benchmarks.tau.dev` is the number 7 where a text",
        'quotes: `"7"`',
    ),
    _wrong(
        "data-long",
        whole() + tau(dev=f"./{'x' * 1000}  #!"),
        "`benchmarks.tau.dev` has more than 1000 characters",
        "at most 1000",
    ),
    _wrong(
        "one-marker",
        whole() + tau(assistant_prefix='"A: "').replace("tau:\n", "tau:  #!\n"),
        "`benchmarks.tau` has one of `assistant_prefix` and `assistant_suffix`",
        "write both, or neither",
    ),
    _wrong(
        "the-other-marker",
        whole() + tau(assistant_suffix='"A: "', assistant_prefix="null").replace("tau:\n", "tau:  #!\n"),
        "`benchmarks.tau` has one of `assistant_prefix` and `assistant_suffix`",
        "write both",
    ),
    _wrong(
        "marker-empty",
        whole() + tau(assistant_prefix='""  #!', assistant_suffix='"x"'),
        "`benchmarks.tau.assistant_prefix` is empty",
        "`assistant_prefix: A: `",
    ),
    _wrong(
        "marker-long",
        whole() + tau(assistant_prefix=f"{'x' * 501}  #!", assistant_suffix='"x"'),
        "`benchmarks.tau.assistant_prefix` has more than 500 characters",
        "at most 500",
    ),
    *(
        _wrong(f"benchmark-{key}", whole() + tau(**{key: f"{text}  #!"}), f"`benchmarks.tau.{key}{what}", hint)
        for key, text, what, hint in (
            ("evaluate", "exactly", "` is the text `exactly`, which is not among its values", "mean `exact`?"),
            ("turns", "first", "` is the text `first`, which is not", "write one of `all`, `last`"),
            ("tokens", "most", "` is the text `most`, which is not", "`overlap`, `within`, `majority`"),
            ("weight", "tasks", "` is the text `tasks`, which is not", "did you mean `task`?"),
            ("max_new_tokens", "0", ": 0` is out of range: it must be at least 1", "`max_new_tokens: 256`"),
            ("max_tokens", "1000001", ": 1000001` is out of range: it must be at most", "`max_tokens: 12000`"),
            ("demonstrations", "-1", ": -1` is out of range: it must be at least 0", "`demonstrations: 0`"),
            ("template_kwargs", "[1]", "` is a list where a mapping", "`template_kwargs: {enable_thinking: false}`"),
        )
    ),
    _wrong(
        "benchmark-half-a-token",
        whole() + tau(max_tokens="1.5  #!"),
        "`benchmarks.tau.max_tokens` is the number 1.5 where a whole number is wanted",
        "`max_tokens: 12000`",
    ),
    _wrong(
        "variable-without-end",
        whole() + tau(template_kwargs="{a: [.inf]}  #!"),
        "`benchmarks.tau.template_kwargs` has a number that is not finite",
        "that JSON has",
    ),
    _wrong(
        "many-variables",
        whole() + tau(template_kwargs="{" + ", ".join(f"a{i}: 1" for i in range(101)) + "}  #!"),
        "`benchmarks.tau.template_kwargs` has more than 100 entries",
        "at most 100",
    ),
    _wrong(
        "scores-list",
        arm("select: scores", tau(scores="[1]  #!")),
        "`benchmarks.tau.scores` is a list where a mapping is wanted",
        "`scores: {tool: 0.95, average: 0.4}`",
    ),
    _wrong(
        "scores-number",
        arm("select: scores", tau(scores="5  #!")),
        "`benchmarks.tau.scores` is the number 5 where a mapping is wanted",
        "`scores: {tool: 0.95, average: 0.4}`",
    ),
    _wrong(
        "score-text",
        whole() + tau(scores="{tool: good}  #!"),
        "`benchmarks.tau.scores.tool` is the text `good` where a number is wanted",
        "`tool: 1.0`",
    ),
    _wrong(
        "score-nan",
        whole() + tau(scores="{tool: .nan}  #!"),
        "`benchmarks.tau.scores.tool: .nan` is not a finite number",
        "`tool: 1.0`",
    ),
    _wrong(
        "score-of-none",
        arm(benchmarks=tau(scores="\n      tool: 0.9\n      avrage: 0.3  #!")),
        "`benchmarks.tau.scores.avrage` is none of the experts and candidates",
        f"did you mean `average`? the experts and candidates are {_ARMS}",
    ),
    _wrong(
        "scores-of-hundreds",
        arm(
            f"pool: [{', '.join(f'{{name: ties, density: 0.{n}}}' for n in range(101, 165))}]",
            "benchmarks:\n"
            + "".join(
                f"  b{i}: {{expert: tool, role: none, calibration: x, "
                f"scores: {{{', '.join(f'ties-{i}-{j}: 1' for j in range(22))}}}}}\n"
                for i in range(60)
            ),
        ),
        "`benchmarks.b0.scores.ties-0-0` is none of the experts and candidates",
        "the experts and candidates are `coder`, `tool`, `ties (density 0.101)`",
        12,
        only=False,
    ),
    _wrong(
        "score-of-both",
        arm(
            experts="experts:\n  average: org/a\n  tool: org/tool\n",
            benchmarks=tau(scores="\n      average: 0.3  #!"),
        ),
        "`benchmarks.tau.scores.average` is an expert and a candidate",
        "give the expert another name",
    ),
    _wrong(
        "scores-without-scores",
        arm("select: scores", tau(scores="{average: 1}").replace("tau:\n", "tau:  #!\n")),
        "`benchmarks.tau` has no score for `task-arithmetic`, `ties`, `dare`, `dare-ties`, `model-stock`",
        "write it below `scores`, have models asked with `evaluate: exact`, or do not select by scores",
    ),
    _wrong(
        "scores-without-any",
        arm("select: [aos, scores]", BENCHMARKS.replace("tau:\n", "tau:  #!\n")),
        "`benchmarks.tau` has no score for `average`",
        "`evaluate: exact`",
    ),
    _wrong(
        "select-near",
        arm("select: likelyhood  #!"),
        "`method.select` is the text `likelyhood`, which is not among its values",
        "did you mean `likelihood`? write one of `aos`, `likelihood`, `scores`",
    ),
    _wrong(
        "select-near-in-list",
        arm("select: [aos, score]  #!"),
        "`method.select.1` is the text `score`, which",
        "did you mean `scores`?",
    ),
    _wrong("select-twice", arm("select: [aos, scores, aos]  #!"), "`method.select` has `aos` twice", "keep one"),
    _wrong("select-empty", arm("select: []  #!"), "`method.select` is empty", "at least one entry"),
    _wrong("select-null", arm("select:  #!"), "`method.select` is empty where a list", "`select: aos`"),
    _wrong("select-number", arm("select: 1  #!"), "`method.select` is the number 1 where a list", "`select: aos`"),
    _wrong(
        "select-many",
        arm("select: [aos, likelihood, scores, aos]  #!"),
        "`method.select` has more than 3 entries",
        "at most 3",
    ),
    _wrong(
        "repair-of-none",
        arm("repair: [taw]  #!"),
        "`method.repair.0: taw` is none of the benchmarks",
        "did you mean `tau`? the benchmarks are `tau`",
    ),
    _wrong(
        "repair-of-none-in-lines",
        arm("repair:\n    - tau\n    - tool  #!"),
        "`method.repair.1: tool` is none of the benchmarks",
        "the benchmarks are `tau`",
    ),
    _wrong(
        "repair-word",
        arm("repair: tau  #!"),
        "`method.repair` is the text `tau`, which is not among its values",
        "write one of `auto`, `all`, `none`, or a list of benchmarks",
    ),
    _wrong(
        "repair-near",
        arm("repair: autos  #!"),
        "`method.repair` is the text `autos`, which",
        "did you mean `auto`?",
    ),
    _wrong("repair-twice", arm("repair: [tau, tau]  #!"), "`method.repair` has `tau` twice", "keep one"),
    _wrong("repair-odd", arm(r'repair: ["\x1f\u2028", "\x1f\u2028"]  #!'), r"has `\x1f\u2028` twice", "keep one"),
    _wrong("repair-empty", arm("repair: []  #!"), "`method.repair` is empty", "at least one entry"),
    _wrong("repair-true", arm("repair: true  #!"), "`method.repair` is `true`, which is not among", "`auto`"),
    _wrong("repair-number", arm("repair: [7]  #!"), "`method.repair.0` is the number 7 where a text", '`"7"`'),
    _wrong(
        "repair-elsewhere",
        arm("repair: all  #!").replace("arm", "best-of"),
        "`method.repair` is not a parameter of `best-of`",
        "that has it: `arm`",
    ),
    _wrong("top-k-none", arm("top_k: 0  #!"), "`method.top_k: 0` is out of range", "`top_k: 0.1`"),
    _wrong("top-k-more", arm("top_k: 10  #!"), "`method.top_k: 10` is out of range", "`top_k: 0.1`"),
    _wrong("protect-word", arm("protect: yes  #!"), "`method.protect` is the text `yes` where", "`protect: true`"),
    _wrong("collisions", arm("collisions: skipped  #!"), "`method.collisions` is the text", "did you mean `skip`?"),
    _wrong("trace-dtype", arm("trace_dtype: bf16  #!"), "`method.trace_dtype` is the text", "did you mean `bfloat16`?"),
    _wrong(
        "saliency",
        arm("saliency: abs_w  #!"),
        "`method.saliency` is the text `abs_w`, which is not among its values",
        "did you mean `abs_wout`?",
    ),
    _wrong(
        "saliency-number",
        arm("saliency: 2  #!"),
        "`method.saliency` is the number 2, which is not among its values",
        "write one of `abs`, `abs_wout`, `contrast`",
    ),
    *(
        _wrong(f"shift-{name}", arm(f"shift: {value}  #!"), f"`method.shift` is {told}, which is not", hint)
        for name, value, told, hint in (
            ("ahead", "1", "the number 1", "write one of `0`, `-1`"),
            ("far", "-2", "the number -2", "write one of `0`, `-1`"),
            ("part", "-0.5", "the number -0.5", "write one of `0`, `-1`"),
            ("false", "false", "`false`", "write one of `0`, `-1`"),
            ("text", '"-1"', "the text `-1`", "write `-1` without quotes"),
        )
    ),
    _wrong(
        "shift-elsewhere",
        arm("shift: -1  #!").replace("arm", "tuned"),
        "`method.shift` is not a parameter of `tuned`",
        "a method that has it: `arm`, `best-of`",
    ),
    _wrong("pool-empty", arm("pool: []  #!"), "`method.pool` is empty", "at least one entry, or leave it out"),
    _wrong(
        "pool-word",
        arm("pool: average  #!"),
        "`method.pool` is the text `average` where a list is wanted",
        "`pool: [average, {name: ties, density: 0.3}]`",
    ),
    _wrong(
        "pool-mapping", arm("pool: {name: ties}  #!"), "`method.pool` is a mapping where a list", "`pool: [average, "
    ),
    _wrong("pool-null", arm("pool:  #!"), "`method.pool` is empty where a list", "`pool: [average, "),
    _wrong(
        "pool-unknown",
        arm("pool:\n    - ties\n    - avrage  #!"),
        "`method.pool.1: avrage` is no method that a pool can have",
        "did you mean `average`? the methods here are `ram`, `ram+`",
    ),
    _wrong(
        "pool-unknown-name",
        arm("pool: [{name: tiess}]  #!"),
        "`method.pool.0.name: tiess` is no method that a pool can have",
        "did you mean `ties`?",
    ),
    _wrong(
        "pool-of-arm",
        arm("pool: [average, arm]  #!"),
        "`method.pool.1: arm` is no method that a pool can have",
        "the methods here are `ram`, `ram+`",
    ),
    _wrong(
        "pool-of-a-pool",
        arm("pool: [{name: best-of, pool: [average]}]  #!"),
        "`method.pool.0.name: best-of` is no method that a pool can have",
        "the methods here are",
    ),
    _wrong(
        "pool-without-name",
        arm("pool:\n    - density: 0.5  #!"),
        "`method.pool.0.name` is missing",
        "write the name of a method, such as `ram`",
    ),
    _wrong(
        "pool-name-number",
        arm("pool: [{name: 7}]  #!"),
        "`method.pool.0.name: 7` is no method that a pool can have",
        "the methods here are",
    ),
    *(
        _wrong(f"pool-{name}", arm(f"pool: [{text}]  #!"), f"`method.pool.0` is {what} where a method", "such as `ram`")
        for name, text, what in (
            ("of-number", "5", "the number 5"),
            ("of-list", "[ties]", "a list"),
            ("of-nothing", "null", "empty"),
        )
    ),
    _wrong(
        "pool-lacks",
        arm("pool: [ram-unique]  #!"),
        "`method.pool.0: ram-unique` lacks `expert`",
        "`{name: ram-unique, expert: coder}`",
    ),
    _wrong("pool-lacks-too", arm("pool: [{name: ram-unique}]  #!"), "`method.pool.0.expert` is missing", "expert"),
    _wrong(
        "pool-twice",
        arm("pool: [average, {name: average}]  #!"),
        "`method.pool` has `average` twice",
        "keep one, or give it other parameters",
    ),
    _wrong(
        "pool-twice-with-a-default",
        arm("pool: [{name: ties, density: 0.3}, {name: ties, lambda: 1, density: 0.3}]  #!"),
        "`method.pool` has `ties (density 0.3)` twice",
        "keep one",
    ),
    _wrong("pool-twice-the-same", arm("pool: [ties, ties]  #!"), "`method.pool` has `ties` twice", "keep one"),
    _wrong(
        "pool-many",
        arm("pool: [" + ", ".join(f"{{name: ties, density: 0.{n}}}" for n in range(101, 166)) + "]  #!"),
        "`method.pool` has more than 64 entries",
        "at most 64",
    ),
    _wrong(
        "pool-near-parameter",
        arm("pool:\n    - name: ties\n      densty: 0.3  #!"),
        "`method.pool.0.densty` is not a parameter of `ties`",
        "did you mean `density`?",
    ),
    _wrong(
        "pool-other-parameter",
        arm("pool:\n    - name: average\n      weight: 1  #!"),
        "`method.pool.0.weight` is not a parameter of `average`",
        "set `method.pool.0.name` to a method that has it: `task-arithmetic`, `ties`",
    ),
    _wrong(
        "pool-parameter-of-arm",
        arm("pool:\n    - name: ties\n      top_k: 1  #!"),
        "`method.pool.0.top_k` is not a parameter of `ties`",
        "the keys here are `name`, `density`",
    ),
    _wrong(
        "pool-parameter",
        arm("pool:\n    - name: dare\n      drop_rate: 1  #!"),
        "`method.pool.0.drop_rate: 1` is out of range: it must be less than 1",
        "drop_rate",
    ),
    _wrong(
        "pool-weight",
        arm("pool:\n    - name: ties\n      weight: {coder: 1, tool: -1}  #!"),
        "`method.pool.0.weight.tool: -1` is out of range: it must be at least 0",
        "`tool: 1.0`",
    ),
    _wrong(
        "pool-weight-of-none",
        arm("pool:\n    - average\n    - name: dare\n      weight: {coder: 1, tool: 1, tols: 1}  #!"),
        "`method.pool.1.weight.tols` is none of the experts",
        "did you mean `tool`?",
    ),
    _wrong(
        "pool-missing-weight",
        arm("pool:\n    - name: dare\n      weight: {coder: 1}  #!"),
        "`method.pool.0.weight` has no number for `tool`",
        "`tool: 1.0` below it, or one number for all experts",
    ),
    _wrong(
        "pool-unique-of-none",
        arm("pool:\n    - {name: ram-unique, expert: codr}  #!"),
        "`method.pool.0.expert: codr` is none of the experts",
        "did you mean `coder`?",
    ),
    _wrong(
        "samples",
        whole(card="card:\n  samples: no  #!\n"),
        "`card.samples` is the text `no` where true or false is wanted",
        "`samples: true` or `samples: false`",
    ),
]


def measured(evaluate: str = "{tasks: [gsm8k]}", gate: str = "", more: str = "") -> str:
    """A manifest that is right, but for what is measured and demanded."""
    return whole() + more + f"evaluate: {evaluate}\n" + (f"gate: {gate}\n" if gate else "")


_HARNESS = "is for lm-evaluation-harness, and `evaluate.command` measures here"

MEASURED = [
    _wrong("evaluate-null", measured("  #!"), "`evaluate` is empty", "write its keys below it, or leave it out"),
    _wrong("evaluate-nothing", measured("{}  #!"), "`evaluate` names nothing to measure", "`tasks: [gsm8k]`"),
    _wrong("evaluate-no-tasks", measured("{tasks: []}  #!"), "`evaluate` names nothing to measure", "or a `command`"),
    _wrong(
        "evaluate-text", measured("gsm8k  #!"), "`evaluate` is the text `gsm8k` where a mapping", "`tasks: [gsm8k]`"
    ),
    _wrong("evaluate-list", measured("[gsm8k]  #!"), "`evaluate` is a list where a mapping", "`tasks: [gsm8k]`"),
    _wrong("evaluate-unknown", measured("{task: [gsm8k]}  #!"), "`evaluate.task` is not", "`tasks`", only=False),
    _wrong(
        "tasks-text", measured("{tasks: gsm8k}  #!"), "`evaluate.tasks` is the text `gsm8k` where a list", "`tasks: ["
    ),
    _wrong("tasks-null", measured("\n  tasks:  #!"), "`evaluate.tasks` is empty where a list", "`tasks: ["),
    _wrong(
        "tasks-many",
        measured("{tasks: [" + ", ".join(f"t{i}" for i in range(65)) + "]}  #!"),
        "`evaluate.tasks` has more than 64 entries",
        "at most 64",
    ),
    _wrong(
        "task-twice",
        measured("\n  tasks:\n    - gsm8k\n    - mmlu\n    - {name: gsm8k, fewshot: 5}  #!"),
        "`evaluate.tasks` has the task `gsm8k` twice",
        "keep one",
    ),
    _wrong("task-number", measured("{tasks: [7]}  #!"), "`evaluate.tasks.0` is the number 7 where a task", "`gsm8k`"),
    _wrong("task-null", measured("{tasks: [null]}  #!"), "`evaluate.tasks.0` is empty where a task", "`gsm8k`"),
    _wrong("task-list", measured("{tasks: [[a]]}  #!"), "`evaluate.tasks.0` is a list where a task", "`gsm8k`"),
    _wrong("task-empty", measured("{tasks: ['']}  #!"), "`evaluate.tasks.0` is empty", "`gsm8k`"),
    _wrong("task-long", measured(f"{{tasks: [{'x' * 201}]}}  #!"), "more than 200 characters", "at most 200"),
    _wrong("task-lines", measured('{tasks: ["a\\nb"]}  #!'), "has a line break", "one line"),
    _wrong(
        "task-unnamed", measured("{tasks: [{limit: 1}]}  #!"), "`evaluate.tasks.0.name` is missing", "`name: gsm8k`"
    ),
    _wrong("task-unknown", measured("{tasks: [{name: a, limt: 1}]}  #!"), "`evaluate.tasks.0.limt`", "`limit`"),
    _wrong("task-limit", measured("{tasks: [{name: a, limit: 0}]}  #!"), "`evaluate.tasks.0.limit: 0`", "`limit: 100`"),
    _wrong(
        "task-limit-share", measured("{tasks: [{name: a, limit: 0.5}]}  #!"), "where a whole number", "`limit: 100`"
    ),
    _wrong("task-fewshot", measured("{tasks: [{name: a, fewshot: -1}]}  #!"), "at least 0", "`fewshot: 0`"),
    _wrong("task-metric", measured("{tasks: [{name: a, metric: 1}]}  #!"), "a text is wanted", 'in quotes: `"1"`'),
    _wrong(
        "task-metric-lines", measured('{tasks: [{name: a, metric: "b\\tc"}]}  #!'), "a control character", "one line"
    ),
    _wrong(
        "task-expert",
        measured("{tasks: [{name: a, expert: codr}]}  #!"),
        "`evaluate.tasks.0.expert: codr` is none of the experts",
        "did you mean `coder`?",
    ),
    _wrong(
        "task-benchmark",
        measured("{tasks: [{name: a, benchmark: taw}]}  #!", more=BENCHMARKS),
        "`evaluate.tasks.0.benchmark: taw` is none of the benchmarks",
        "did you mean `tau`?",
    ),
    _wrong(
        "task-benchmark-without",
        measured("{tasks: [{name: a, benchmark: tau}]}  #!"),
        "`evaluate.tasks.0.benchmark: tau` is none of the benchmarks",
        "there are none",
    ),
    _wrong(
        "task-benchmark-twice",
        measured("{tasks: [{name: a, benchmark: tau}, {name: b, benchmark: tau}]}  #!", more=BENCHMARKS),
        "`evaluate.tasks` has the benchmark `tau` twice",
        "name the one task that scores it",
    ),
    _wrong(
        "task-of-two",
        measured("{tasks: [{name: a, benchmark: tau, expert: coder}]}  #!", more=BENCHMARKS),
        "`evaluate.tasks.0.expert: coder` is not the expert of `benchmarks.tau`, `tool`",
        "leave out one of",
    ),
    _wrong(
        "results-dataset",
        measured("{tasks: [{name: a, results: {dataset: gsm8k, task: a}}]}  #!"),
        "`evaluate.tasks.0.results.dataset: gsm8k` is not a repository id",
        "`namespace/name`",
    ),
    _wrong(
        "results-task",
        measured("{tasks: [{name: a, results: {dataset: o/d, task: a b}}]}  #!"),
        "`evaluate.tasks.0.results.task: a b` is no id of a task",
        "`gsm8k`",
    ),
    _wrong("results-half", measured("{tasks: [{name: a, results: {task: a}}]}  #!"), "dataset` is missing", "dataset"),
    _wrong("results-text", measured("{tasks: [{name: a, results: x}]}  #!"), "where a mapping", "`results: {dataset"),
    _wrong("command-text", measured("{command: score.py}  #!"), "`evaluate.command` is the text", "`command: [python"),
    _wrong("command-empty", measured("{command: []}  #!"), "`evaluate.command` is empty", "`command: [python"),
    _wrong("command-blank", measured("{command: ['', a]}  #!"), "`evaluate.command` is no command", "`[python, "),
    _wrong("command-null-byte", measured('{command: ["a\\0"]}  #!'), "`evaluate.command` is no command", "`[python, "),
    _wrong(
        "command-number", measured("{command: [a, 1]}  #!"), "`evaluate.command.1` is the number 1", 'quotes: `"1"`'
    ),
    _wrong(
        "command-of-the-harness",
        measured("\n  command: [a]\n  batch_size: 8  #!"),
        f"`evaluate.batch_size` {_HARNESS}",
        "remove it, or remove `command`",
    ),
    _wrong(
        "command-task-of-the-harness",
        measured("\n  command: [a]\n  tasks: [{name: b, fewshot: 0}]  #!"),
        f"`evaluate.tasks.0.fewshot` {_HARNESS}",
        "remove it, or remove `command`",
    ),
    _wrong("models-unknown", measured("{tasks: [a], models: expert}  #!"), "not among its values", "`experts`?"),
    _wrong("models-twice", measured("{tasks: [a], models: [base, base]}  #!"), "has an entry twice", "keep one"),
    _wrong("include-lines", measured('{tasks: [a], include: "a\\nb"}  #!'), "is not a path", "`./tasks`"),
    _wrong(
        "batch-size-word", measured("{tasks: [a], batch_size: auto}  #!"), "where a whole number", "`batch_size: 8`"
    ),
    _wrong("seed-negative", measured("{tasks: [a], seed: -1}  #!"), "at least 0", "`seed: 0`"),
    _wrong("timeout-none", measured("{tasks: [a], timeout: 0}  #!"), "at least 1", "`timeout: 3600`"),
    _wrong("unsafe-word", measured("{tasks: [a], confirm_run_unsafe_code: yes}  #!"), "where true or false", "true"),
    _wrong("gate-null", measured(gate=" #!"), "`gate` is empty", "write its keys below it, or leave it out"),
    _wrong("gate-nothing", measured(gate="{}  #!"), "`gate` asks for nothing", "`of_expert: 0.95`"),
    _wrong("gate-no-least", measured(gate="{least: {}}  #!"), "`gate` asks for nothing", "`of_expert: 0.95`"),
    _wrong("gate-number", measured(gate="0.95  #!"), "`gate` is the number 0.95 where a mapping", "`of_expert: 0.95`"),
    _wrong("gate-share", measured(gate="{of_expert: 0}  #!"), "must be more than 0", "`of_expert: 0.95`"),
    _wrong("gate-percent", measured(gate="{of_base: 101}  #!"), "it must be at most 100", "`of_base: 1.0`"),
    _wrong("gate-text", measured(gate="{of_expert: 95%}  #!"), "where a number is wanted", "`of_expert: 0.95`"),
    _wrong("gate-nan", measured(gate="{least: {gsm8k: .nan}}  #!"), "is not a finite number", "`gsm8k: 1.0`"),
    _wrong("gate-least-text", measured(gate="{least: {gsm8k: good}}  #!"), "where a number is wanted", "`gsm8k: 1.0`"),
    _wrong(
        "gate-unknown", measured(gate="{of_experts: 1}  #!"), "`gate.of_experts` is not", "`of_expert`?", only=False
    ),
    _wrong(
        "gate-without-scores",
        whole() + "gate: {of_base: 1}  #!\n",
        "`gate` is about scores, and there is no `evaluate`",
        "docs/evaluation.md",
    ),
    _wrong(
        "gate-of-no-task",
        measured(gate="{least: {gsm8: 0.5}}  #!"),
        "`gate.least.gsm8` is none of the tasks",
        "did you mean `gsm8k`? the tasks are `gsm8k`",
    ),
    _wrong(
        "gate-of-no-expert",
        measured("{tasks: [a], models: base}", gate="{of_expert: 1}  #!"),
        "`gate.of_expert` needs `experts` in `evaluate.models`",
        "add it there",
    ),
    _wrong(
        "gate-of-no-base",
        measured("{tasks: [a], models: [experts]}", gate="{of_base: 1}  #!"),
        "`gate.of_base` needs `base` in `evaluate.models`",
        "add it there",
    ),
]

WRONG = [*FILES, *KEYS, *VALUES, *CHOICES, *MEASURED]
