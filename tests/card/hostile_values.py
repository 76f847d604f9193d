"""What strangers might write into any free field, and cards that have it in all of them."""

from collections.abc import Callable

from card_samples import Sample
from choice_samples import arm_sample

from ramekin.choice import ReportedSample
from ramekin.lock.model import CardFacts
from ramekin.manifest.model import CardTexts
from ramekin.records import FileRecord
from ramekin.scores import ReportedBar, ReportedEvaluation, ReportedScore, ReportedTask

RUN = "window.ran.push(1)"
VALUES = (
    f"<script>{RUN}</script>",
    f"</td></tr></table><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f'<svg onload="{RUN}"><a xlink:href="javascript:{RUN}">x</a></svg>',
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f"<details open ontoggle={RUN}><summary>x</summary></details>",
    '<meta http-equiv="refresh" content="0; url=https://evil.example/">',
    '<base href="https://evil.example/"><link rel=stylesheet href=//evil.example/a.css>',
    "<style>body{display:none}</style><![CDATA[ x ]]><!-- never closed",
    '<form action="https://evil.example/"><button>Log in</button></form>',
    "</details></details><h1>Another card</h1>",
    f"[x](javascript:{RUN}) [y](data:text/html,<script>{RUN}</script>)",
    "![x](https://evil.example/pixel.png) [![z](//evil.example/z.png)](//evil.example)",
    "[x][1]\n\n[1]: https://evil.example 'title'",
    "<https://evil.example> www.evil.example http://evil.example/a?b=c mailto:a@evil.example a@evil.example",
    "javascript:window.ran.push(1)",
    'https://evil.example/a b"onmouseover="window.ran.push(1)',
    "---\nlicense: mit\n---\n# Another card",
    "...\n--- !!python/object/apply:os.system [id]",
    "a: b\nc: &d [*d, *d]",
    "no",
    "1e5",
    "2026-01-01",
    "- item\n- item",
    "'\"\\ \\n \\x41 \\u0041",
    "a | b\n|---|---|\n| c | d |",
    "\\| \\\\| `|` &#124; &vert;",
    "`",
    "``` \n</details>\n```",
    "`" * 300 + "|" + "`" * 299,
    "# heading\n======\n> quote\n1. one\n* * *",
    "**bold** _it_ ~~gone~~ ^[note] [^1] ==mark== :smile: $x$ \\(y\\) $$z$$",
    "@everyone @org/team #1 GH-2 org/repo#3 !4 user@0123456789abcdef0123456789abcdef01234567",
    "::set-output name=a::b\n##[command]x\n::error::y",
    "${{ secrets.HF_TOKEN }} {{ 7*7 }} {% include '/etc/passwd' %} {# x #}",
    "\u202egnp.exe\u2066 \u200f\u061c \u2069",
    "\x1b[31mred\x1b[0m\x07\x00\x08 \x9b31m",
    "zero\u200bwidth\ufeff soft\u00adhyphen \U000e0041\U000e007f",
    "line\u2028separator\u2029paragraph\x0bvertical\x0cform\x85next\r\nreturn",
    "lone \ud800 surrogate \udfff",
    "👩‍👩‍👧‍👦 🇪🇺 ünï 漢字 العربية हिन्दी",
    "Z̸̢̛a̷l̶g̵o̴" + "\u0301" * 200,
    "|" * 100_000,
    "[" * 50_000 + "](" * 25_000,
    "<" * 100_000,
    "a\n\n" * 30_000,
    " \t \n ",
)
assert len(set(VALUES)) == len(VALUES) > 40

Pick = Callable[[str], str]


def rotated(start: int) -> Pick:
    """A value for every field, another one for each, and over all starts every value for each."""
    places: dict[str, int] = {}

    def pick(field: str) -> str:
        place = places.setdefault(field, len(places))
        return VALUES[(start + place) % len(VALUES)]

    return pick


def calm(field: str) -> str:
    """What nobody would mind, by field."""
    return f"word {field}"


def card_of(pick: Pick) -> tuple[Sample, CardTexts]:
    """A choice among candidates, with samples, scores and a gate: everything that a card may show."""
    benchmarks = {"tau-bench": "tool", pick("benchmark"): "coder", pick("other benchmark"): "memory"}
    names = [*benchmarks]
    shown = ReportedSample(
        benchmark=names[1],
        trajectory=pick("trajectory"),
        pieces=((pick("text of a sample"), False), (pick("role in a sample"), True)),
    )
    made = arm_sample(
        benchmarks,
        tuple(names[:2]),
        sources={"coder": pick("repository"), "tool": f"./{pick('path')}", "memory": "org/memory"},
        samples=(shown,),
        warnings=(pick("warning"),),
    )
    comparison, activation = made.report.comparison, made.report.activation
    assert comparison is not None
    assert activation is not None
    # Named after their benchmarks, some sources would be valid repositories, and rightly linked.
    runs = {name: each.model_copy(update={"source": "org/runs"}) for name, each in comparison.calibration.items()}
    loud = {"role": pick("role"), "license": pick("licence of runs"), "file": pick("file of runs")}
    loud |= {"source": pick("dataset"), "commit": pick("commit of runs")}
    runs[names[1]] = runs[names[1]].model_copy(update=loud | {"on_hub": True, "warnings": (pick("warning of runs"),)})
    renamed = pick("candidate")
    candidates = {renamed if name == "dare" else name: each for name, each in comparison.candidates.items()}
    by = {
        part: {renamed if name == "dare" else name: each for name, each in getattr(activation, part).items()}
        for part in ("aos", "mean_aos", "aos_layer_mean")
    }
    said = {"calibration": runs, "candidates": candidates, "dtype": pick("dtype"), "template": pick("chat template")}
    report = made.report.model_copy(
        update={
            "comparison": comparison.model_copy(update=said),
            "activation": activation.model_copy(update=by),
            "evaluation": _evaluation(pick),
            "notes": (pick("note"),),
            "ramekin": pick("version"),
            "output": made.report.output.model_copy(
                update={"files": {name: FileRecord(size=1, sha256="0" * 64) for name in ("config.json", pick("file"))}}
            ),
        }
    )
    facts = CardFacts.model_construct(
        license=pick("licence"),
        license_name=pick("name of a licence"),
        license_link=pick("link of a licence"),
        language=(pick("language of a source"),),
        datasets=(pick("data of a source"),),
        pipeline_tag=pick("pipeline tag"),
        parents={pick("parent"): pick("licence of a parent")},
    )
    other = CardFacts.model_construct(
        license="other", license_name=pick("name of another licence"), license_link=pick("link"), parents={}
    )
    experts = dict(made.lock.experts)
    experts["coder"] = experts["coder"].model_copy(update={"card": facts})
    experts["memory"] = experts["memory"].model_copy(update={"card": other})
    base = made.lock.base.model_copy(update={"card": facts})
    texts = CardTexts.model_construct(
        title=pick("title"), summary=pick("summary"), license="mit", samples=True, language=(pick("language"),)
    )
    return Sample(report, made.lock.model_copy(update={"experts": experts, "base": base})), texts


def _evaluation(pick: Pick) -> ReportedEvaluation:
    first, second = pick("task"), pick("other task")
    return ReportedEvaluation(
        harness=pick("harness"),
        date="2026-08-01",
        settings={pick("name of a setting"): pick("setting")},
        tasks={
            first: ReportedTask(metric=pick("metric"), expert="coder", details={pick("a detail"): pick("detail")}),
            second: ReportedTask(metric="acc"),
        },
        models={
            model: {first: ReportedScore(value=0.5 + shift), second: ReportedScore(value=0.25 + shift)}
            for model, shift in (("base", 0.0), ("expert:coder", 0.1), ("expert:tool", 0.2), ("merge", 0.3))
        },
        gate=(ReportedBar(task=first, demand=pick("demand"), least=0.1, found=0.8, met=True),),
    )


def everything() -> tuple[Sample, CardTexts]:
    """A report with all values in it, several times."""
    made, texts = card_of(rotated(0))
    files = {value: FileRecord(size=1, sha256="0" * 64) for value in VALUES}
    evaluation = made.report.evaluation
    assert evaluation is not None
    names = [value[:150] for value in VALUES if len(value) < 1_000]
    evaluation = evaluation.model_copy(
        update={
            "settings": {value: value for value in VALUES},
            "tasks": {name: ReportedTask(metric=name, details={name: name}) for name in names},
            "models": {"merge": {name: ReportedScore(value=0.5) for name in names}},
            "gate": (),
        }
    )
    output = made.report.output.model_copy(update={"files": files})
    changes = {"notes": VALUES, "evaluation": evaluation, "output": output}
    return Sample(made.report.model_copy(update=changes), made.lock), texts
