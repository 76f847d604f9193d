"""The licence of a merge, by table."""

from itertools import combinations_with_replacement

import pytest

from ramekin.hub.cards import LICENSES
from ramekin.licences.catalogue import HUB_IDS, LICENCES, Kind, find_licence
from ramekin.licences.inheritance import Claim, claims_of, inherit
from ramekin.lock.model import Lock

NC, NCSA, ND = "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0"


def claims(*licences):
    """One source per licence: base, then experts. `other:NAME` gives a name, `x<y` a parent y."""
    result = []
    for place, written in enumerate(licences):
        own, _, parent = (written or "").partition("<")
        id_, _, name = own.partition(":")
        role = "base" if place == 0 else f"expert:e{place}"
        parents = {"org/parent": parent if parent != "?" else None} if parent else {}
        result.append(Claim(role, f"org/s{place}", id_ or None, name or None, None, parents))
    return result


TABLE = [
    # sources, chosen, licence, name, private only
    (["apache-2.0", "apache-2.0"], None, "apache-2.0", None, False),
    (["apache-2.0", "mit"], None, "apache-2.0", None, False),
    (["mit", "bsd-3-clause", "mit"], None, "bsd-3-clause", None, False),
    (["mit", "mit"], "apache-2.0", "apache-2.0", None, False),
    (["apache-2.0", "mit"], NC, NC, None, False),
    (["cc0-1.0", "unlicense"], None, "cc0-1.0", None, False),
    (["apache-2.0", "cc-by-4.0"], None, "apache-2.0", None, False),
    (["apache-2.0", "gpl-3.0"], None, "gpl-3.0", None, False),
    (["mit", "gpl-2.0"], None, "gpl-2.0", None, False),
    (["gpl-3.0", "agpl-3.0"], None, "agpl-3.0", None, False),
    (["lgpl-2.1", "gpl-3.0", "mit"], None, "gpl-3.0", None, False),
    (["gpl", "gpl-2.0"], None, "gpl-2.0", None, False),
    (["mpl-2.0", "mit"], None, "mpl-2.0", None, False),
    (["mpl-2.0", "lgpl-3.0", "agpl-3.0"], None, "agpl-3.0", None, False),
    (["cc-by-sa-3.0", "cc-by-sa-4.0"], None, "cc-by-sa-4.0", None, False),
    (["cc-by-sa-4.0", "gpl-3.0"], None, "gpl-3.0", None, False),
    (["cc-by-sa-4.0", "apache-2.0"], None, "cc-by-sa-4.0", None, False),
    (["apache-2.0", NC], None, NC, None, False),
    (["cc-by-nc-2.0", NC], None, NC, None, False),
    ([NC, NCSA], None, NCSA, None, False),
    (["cc-by-nc-sa-2.0", NCSA], None, NCSA, None, False),
    (["llama3.1", "llama3.1"], None, "llama3.1", None, False),
    (["llama3.1", "apache-2.0"], None, "llama3.1", None, False),
    (["llama3.1", "mit<llama3.1"], None, "llama3.1", None, False),
    (["llama3", "llama3.1"], None, "other", "llama3 and llama3.1", False),
    (["llama3.1", NC], None, "other", "llama3.1 and cc-by-nc-4.0", False),
    (["llama3.1", NC], "other", "other", "llama3.1 and cc-by-nc-4.0", False),
    (["gemma", "mit"], None, "gemma", None, False),
    (["gemma", "llama3.2"], None, "other", "llama3.2 and gemma", False),
    (["openrail", "apache-2.0"], None, "openrail", None, False),
    (["other:qwen", "apache-2.0"], None, "other", "qwen", False),
    (["other:Tongyi Qianwen", "other:qwen"], None, "other", "qwen", False),
    (["other:qwen-research", "apache-2.0"], None, "other", "qwen-research", False),
    (["other:deepseek", "mit"], None, "other", "deepseek", False),
    (["other:deepseek", "mit"], "other", "other", "deepseek", False),
    (["apache-2.0", None], None, "unknown", None, True),
    (["apache-2.0", None], "apache-2.0", "apache-2.0", None, False),
    (["apache-2.0", "unknown"], None, "unknown", None, True),
    (["apache-2.0", "unknown"], "unknown", "unknown", None, True),
    (["apache-2.0", "my-licence"], None, "unknown", None, True),
    (["apache-2.0", "other:house-rules"], None, "other", "house-rules", True),
    (["apache-2.0", "other:house-rules"], "mit", "mit", None, False),
    (["apache-2.0", "cc"], None, "unknown", None, True),
    (["apache-2.0", "apache-2.0<?"], None, "unknown", None, True),
    (["apache-2.0", "apache-2.0<cc-by-nc-4.0"], None, NC, None, False),
    (["gpl-3.0-or-later", "mit"], None, "gpl-3.0", None, False),
    (["apache-2.0", "lgpl-3.0-only"], None, "lgpl-3.0", None, False),
    (["cc-by-4.0", "cc-by-3.0", "odc-by"], None, "odc-by", None, False),
    (["mit", "odbl"], None, "odbl", None, False),
    (["eupl-1.1", "eupl-1.2"], None, "eupl-1.2", None, False),
    (["eupl-1.2", "agpl-3.0"], None, "agpl-3.0", None, False),
    (["gpl", "mit"], "gpl-3.0", "gpl-3.0", None, False),
    (["apache-2.0", "cc-by-4.0"], "cc-by-sa-4.0", "cc-by-sa-4.0", None, False),
    (["apache-2.0", NCSA], None, NCSA, None, False),
    (["apache-2.0", "apple-amlr"], None, "apple-amlr", None, False),
    (["fair-noncommercial-research-license", NC], None, "fair-noncommercial-research-license", None, False),
    (["llama2", "llama3"], None, "other", "llama2 and llama3", False),
    (["openrail++", "bigcode-openrail-m"], None, "other", "openrail++ and bigcode-openrail-m", False),
    (["other:Qwen Research License", "other:qwen"], None, "other", "qwen and qwen-research", False),
    (["gemma", "llama3.1", "mit", NC], None, "other", f"llama3.1 and gemma and {NC}", False),
    (["apache-2.0", "mit<qwen"], None, "other", "qwen", False),
    (["apache-2.0", "mit<llama3.3"], None, "llama3.3", None, False),
    # Unknown terms stay private whatever else is there, until a licence is named that meets all that is known.
    ([NC, None], None, "unknown", None, True),
    ([NC, None], NC, NC, None, False),
    (["gpl-3.0", None], "gpl-3.0", "gpl-3.0", None, False),
    (["llama3.1", "other:house-rules"], None, "unknown", None, True),
    (["other:house-rules", "other:other-rules"], None, "unknown", None, True),
    # `other` says that there are terms, and not which.
    (["apache-2.0", None], "other", "other", "other", True),
    (["apache-2.0", "other:house-rules"], "other", "other", "house-rules", True),
    # A card with several: whether one may choose, or all hold, it does not say.
    (["apache-2.0", "mit, cc-by-nc-4.0"], None, "unknown", None, True),
]


@pytest.mark.parametrize(("sources", "chosen", "license_", "name", "private"), TABLE)
def test_what_a_merge_inherits(sources, chosen, license_, name, private):
    result = inherit(claims(*sources), chosen)
    assert result.problems == ()
    assert (result.license, result.license_name, result.private_only) == (license_, name, private)
    assert result.license in HUB_IDS
    assert inherit(list(reversed(claims(*sources))), chosen).license == license_


CONFLICTS = [
    # sources, chosen, words that the problem has to name
    (["apache-2.0", ND], None, [ND, "org/s1", "no derivatives"]),
    (["apache-2.0", ND], "mit", [ND, "org/s1"]),
    (["cc-by-sa-4.0", NC], None, ["cc-by-sa-4.0", "org/s0", NC, "org/s1"]),
    (["gpl-3.0", "llama3.1"], None, ["gpl-3.0", "org/s0", "llama3.1", "org/s1"]),
    (["gpl-2.0", "gpl-3.0"], None, ["gpl-2.0", "gpl-3.0"]),
    (["gpl-2.0", "apache-2.0"], None, ["gpl-2.0", "apache-2.0"]),
    (["cc-by-sa-4.0", NCSA], None, ["cc-by-sa-4.0", NCSA]),
    (["mpl-2.0", "gemma"], None, ["mpl-2.0", "gemma"]),
    (["epl-2.0", "gpl-3.0"], None, ["epl-2.0", "gpl-3.0"]),
    (["llama3", "gemma"], None, ["llama3", "gemma", "Llama"]),
    (["llama2", "other:qwen"], None, ["llama2", "qwen"]),
    (["apache-2.0", "mit<gpl-2.0"], None, ["gpl-2.0", "org/parent", "org/s1"]),
    (["apache-2.0", NC], "apache-2.0", ["card.license", NC]),
    (["apache-2.0", None, "gpl-3.0"], "mit", ["card.license", "gpl-3.0"]),
    (["llama3.1", "mit"], "apache-2.0", ["card.license", "llama3.1"]),
    (["mit"], "aphache-2.0", ["aphache-2.0", "Hub"]),
    (["mit"], "gpl-3.0-or-more", ["gpl-3.0-or-more"]),
    (["apache-2.0", "cc-by-nc-nd-4.0"], None, ["cc-by-nc-nd-4.0", "org/s1"]),
    (["cc-by-nc-nd-3.0"], NC, ["cc-by-nc-nd-3.0", "org/s0"]),
    (["mit", f"mit<{ND}"], None, [ND, "org/parent", "org/s1", "no derivatives"]),
    (["gpl-3.0", NC], None, ["gpl-3.0", "org/s0", NC, "org/s1"]),
    (["gpl-3.0", NCSA], None, ["gpl-3.0", NCSA]),
    (["agpl-3.0", "openrail"], None, ["agpl-3.0", "openrail"]),
    (["mpl-2.0", NC], None, ["mpl-2.0", NC]),
    (["lgpl-3.0", "other:qwen"], None, ["lgpl-3.0", "qwen"]),
    (["cc-by-sa-4.0", "odbl"], None, ["cc-by-sa-4.0", "odbl"]),
    (["gpl-2.0", "lgpl-3.0"], None, ["gpl-2.0", "lgpl-3.0"]),
    (["gpl-2.0", "afl-3.0"], None, ["gpl-2.0", "afl-3.0"]),
    (["cc-by-nc-sa-4.0", "llama3.1"], None, [NCSA, "llama3.1"]),
    (["grok2-community", "llama3.1"], None, ["grok2-community", "llama3.1", "Grok"]),
    (["apache-2.0", "apple-amlr"], "apache-2.0", ["card.license", "apple-amlr"]),
    (["gemma", None], "mit", ["card.license", "gemma"]),
    (["gpl-3.0", "mit"], "mit", ["card.license", "gpl-3.0"]),
    (["mit", "gpl-2.0<gpl-3.0"], None, ["gpl-2.0", "gpl-3.0", "org/parent"]),
]


@pytest.mark.parametrize(("sources", "chosen", "words"), CONFLICTS)
def test_what_cannot_be_merged(sources, chosen, words):
    problems = inherit(claims(*sources), chosen).problems
    assert len(problems) == 1
    assert all(word in problems[0].what for word in words)
    assert problems[0].hint


def test_any_two_licences():
    """Whatever comes together: what one of them forbids, the merge does not allow, or there is none."""
    for one, two in combinations_with_replacement(LICENCES.values(), 2):
        result = inherit(claims(*(id_ if id_ in HUB_IDS else f"other:{id_}" for id_ in (one.id, two.id))))
        kinds = {one.kind, two.kind}
        if result.problems or Kind.NO_DERIVATIVES in kinds:
            told = " ".join(problem.what for problem in result.problems)
            refused = {licence.id for licence in (one, two) if licence.kind is Kind.NO_DERIVATIVES} or {one.id, two.id}
            assert all(f"`{id_}`" in told for id_ in refused), (one.id, two.id)
            continue
        output = find_licence(result.license, result.license_name)
        assert result.private_only == (Kind.UNKNOWN in kinds)
        assert output.kind not in {Kind.FREE, Kind.PERMISSIVE} or kinds <= {Kind.FREE, Kind.PERMISSIVE}
        if not (one.trade and two.trade):
            assert not output.trade or output.kind is Kind.UNKNOWN, (one.id, two.id)
            assert "Not for commercial use" in " ".join(result.notices)
        for licence in (one, two):
            assert all(duty in result.notices for duty in licence.duties)


def test_all_problems_are_reported_at_once():
    problems = inherit(claims("gpl-3.0", ND, NC, "llama3.1"), "mit").problems
    assert len(problems) == 6


def test_a_suggestion_for_a_misspelt_licence():
    assert inherit(claims("mit"), "aphache-2.0").problems[0].hint == "did you mean `apache-2.0`?"


def test_llama_brings_its_duties():
    result = inherit(claims("llama3.1", "apache-2.0"))
    notices = " ".join(result.notices)
    assert "Built with Llama" in notices
    assert "begin" in notices.lower()
    assert "“Llama”" in notices
    assert "Copyright © Meta Platforms" in notices
    assert result.name_begins == "Llama"
    assert inherit(claims("llama3")).name_begins == "Llama 3"
    assert inherit(claims("llama2")).name_begins is None


@pytest.mark.parametrize(
    ("license_", "words"),
    [
        ("gemma", "Gemma is provided under and subject to the Gemma Terms of Use"),
        ("other:qwen", "Built with Qwen"),
        ("other:deepseek", "use restrictions"),
        ("bigscience-openrail-m", "use restrictions"),
        ("grok2-community", "Powered by xAI"),
        (NC, "Not for commercial use"),
        ("other:qwen-research", "Not for commercial use"),
        ("cc-by-4.0", "Credit org/s0"),
        ("apache-2.0", "Keep the copyright notices"),
        ("gpl-3.0", "same licence"),
        (None, "has to stay private"),
    ],
)
def test_notices(license_, words):
    assert words in " ".join(inherit(claims(license_)).notices)


def test_public_domain_asks_for_nothing():
    assert inherit(claims("cc0-1.0", "unlicense")).notices == ()


def test_a_named_licence_is_told_apart_from_a_derived_one():
    notices = inherit(claims("apache-2.0", None), "mit").notices
    assert any("org/s1 declares no licence; mit is what the manifest" in notice for notice in notices)


def test_a_parent_that_is_a_source_speaks_for_itself():
    base = Claim("base", "org/base", "apache-2.0")
    expert = Claim("expert:a", "org/a", "mit", parents={"org/base": None})
    assert not inherit([base, expert]).private_only


def test_the_link_of_another_licence_is_kept_if_it_is_https():
    claim = Claim("base", "org/base", "other", "house-rules", "https://example.org/rules")
    assert inherit([claim]).license_link == "https://example.org/rules"
    for link in ("javascript:alert(1)", "LICENSE", "http://example.org"):
        assert inherit([Claim("base", "org/base", "other", "house-rules", link)]).license_link is None


def test_the_table_has_every_id_of_the_hub_and_no_other():
    assert HUB_IDS == LICENSES
    assert all(licence.title for licence in LICENCES.values())
    assert all(key == licence.id for key, licence in LICENCES.items())


def test_every_licence_alone_is_kept_or_refused():
    for id_, licence in LICENCES.items():
        name = id_ if id_ not in HUB_IDS else None
        result = inherit([Claim("base", "org/base", "other" if name else id_, name)])
        assert bool(result.problems) == (licence.kind is Kind.NO_DERIVATIVES)
        if licence.kind not in {Kind.NO_DERIVATIVES, Kind.UNKNOWN}:
            assert (result.license, result.license_name) == (("other", id_) if name else (id_, None))


def test_unknown_words_are_kept_printable():
    licence = find_licence("weird\u202e")
    assert licence.kind is Kind.UNKNOWN
    assert "\u202e" not in " ".join(inherit([Claim("base", "o/b\u202e", "weird\u202e")]).notices)


def test_claims_of_a_lock():
    pinned = {"source": "org/a", "kind": "hub", "commit": "0" * 40, "files": {}, "card": {"license": "mit"}}
    lock = Lock.model_validate(
        {"schema": 1, "key": "sha256:" + "0" * 64, "semantics": 1, "base": pinned, "experts": {"x": pinned}}
    )
    assert [(c.role, c.source, c.license) for c in claims_of(lock)] == [
        ("base", "org/a", "mit"),
        ("expert:x", "org/a", "mit"),
    ]
