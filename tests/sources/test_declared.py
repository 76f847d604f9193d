"""What is read from the cards of strangers, and what is not."""

import time

import pytest

from ramekin.sources.declared import declared_in

GOOD = b"""---
license: Apache-2.0
license_link: https://example.org/licence
language: [en, "no"]
datasets: org/data
pipeline_tag: text-generation
base_model:
  - org/base
  - org/base
---
# Card
"""


def test_a_card_as_most_are() -> None:
    facts, parents = declared_in(GOOD)
    assert facts.license == "apache-2.0"
    assert facts.license_link == "https://example.org/licence"
    assert facts.language == ("en", "no")
    assert facts.datasets == ("org/data",)
    assert facts.pipeline_tag == "text-generation"
    assert parents == ("org/base",)


def test_of_several_licences_none_is_known() -> None:
    assert declared_in(b"---\nlicense: [mit, mit]\n---\n")[0].license == "mit"
    assert declared_in(b"---\nlicense: [mit, cc-by-nc-4.0]\n---\n")[0].license == "mit, cc-by-nc-4.0"


def test_a_name_that_would_keep_a_card_from_being_read() -> None:
    card = b'---\nlicense: other\nlicense_name: "' + b"[" * 150 + b'"\n---\n'
    assert declared_in(card.replace(b"[" * 150, b"[a] {b}"))[0].license_name == "[a] {b}"
    assert declared_in(card)[0].license_name is None


def test_windows_lines_and_a_byte_order_mark() -> None:
    assert declared_in(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"))[0].license == "apache-2.0"


@pytest.mark.parametrize(
    "card",
    [
        None,
        b"",
        b"# No front matter\n",
        b"---\n- a\n- list\n---\n",
        b"---\n{unclosed\n---\n",
        b"---\nlicense: [[[[\n---\n",
        b"---\nlicense: !!python/object/apply:os.system ['true']\n---\n",
        b"---\n" + b"[" * 50_000 + b"\n---\n",
        b"---\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nlicense: mit\n---\n",
        b"---\nlicense: 5\nlanguage: 7\ndatasets: {a: b}\nbase_model: [1, null]\n1: 2\n---\n",
        b"---\nlicense: ../../etc/passwd\nbase_model: ['../x', 'a b/c', 'org/ok\x1b[31m']\n---\n",
        b"\xff\xfe\x00" * 1000,
        b"---\n\x00\x01\x02\n---\n",
        b'---\nlicense_link: javascript:alert(1)\nlicense_name: "a\\nb\\u001b[31m"\n---\n',
    ],
)
def test_whatever_is_not_as_it_should_be_counts_as_not_declared(card: bytes | None) -> None:
    started = time.monotonic()
    facts, parents = declared_in(card)
    assert time.monotonic() - started < 5
    assert facts.license is None
    assert facts.license_link is None
    assert facts.license_name is None
    assert facts.language == facts.datasets == parents == ()
