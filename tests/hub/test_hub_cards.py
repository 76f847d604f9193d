"""Cards of strangers: read safely, judged as the Hub judges them."""

import pytest

from ramekin.hub.cards import derived_tags, judge, read_card

BOMB = """---
a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c]
e: [*d, *d, *d, *d, *d, *d, *d, *d]
---
"""


def test_a_good_card() -> None:
    card = read_card("---\nlicense: mit\ntags: [merge]\nbase_model: [o/a, o/b]\n---\n# Title\n")
    assert (card.data["license"], card.body, card.problem) == ("mit", "# Title\n", None)
    assert {"merge", "base_model:merge:o/a", "license:mit"} <= set(derived_tags(card.data))
    assert judge("---\nlicense: mit\n---\n").errors == ()


def test_no_front_matter_is_a_warning() -> None:
    verdict = judge("# Title\n")
    assert verdict.errors == ()
    assert verdict.warnings == ("empty or missing yaml metadata in repo card",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("---\nlicense: apache-2.0-or-later\n---\n", "license"),
        ("---\nlicense: [mit, nonsense]\n---\n", "nonsense"),
        ("---\nlicense: 3\n---\n", "license"),
        ("---\ntags: [a, 3]\n---\n", "tags"),
        ("---\ndatasets: [null]\n---\n", "datasets"),
        ("---\nbase_model: {a: b}\n---\n", "base_model"),
        ("---\nmodel-index: x\n---\n", "model-index"),
        ("---\na: [\n---\n", "YAML"),
        ("---\na: 1\na: 2\n---\n", "YAML"),
        ("---\n- a\n---\n", "not a mapping"),
        ("---\n!!python/object/apply:os.system [id]\n---\n", "YAML"),
        ("---\na: &a [*a]\n---\n", "YAML"),
        (BOMB, "too large"),
        ("---\n" + "[" * 1500 + "\n---\n", "YAML"),
        ("---\ndate: 2026-99-99\n---\n", "YAML"),
    ],
)
def test_what_the_hub_refuses(text: str, word: str) -> None:
    verdict = judge(text)
    assert verdict.errors
    assert word in verdict.errors[0]


def test_values_that_json_lacks() -> None:
    data = read_card("---\n1: 2026-01-02\nx: .nan\ny: .inf\nignore_metadata_errors: true\n---\n").data
    assert data == {"1": "2026-01-02", "x": None, "y": None, "ignore_metadata_errors": True}
