"""Scores for the Hub's leaderboards: the merge's own, on registered benchmarks, and nothing else."""

import json
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResultEntry
from ruamel.yaml import YAML
from shops import GUEST, Shop

from ramekin.errors import PublishError
from ramekin.hub import Fault
from ramekin.publish import eval_results

RESULTS = ".eval_results/ramekin.yaml"
EVALUATE = """\
evaluate:
  tasks:
  - name: maths
    results: {dataset: demo/maths, task: hard}
  - name: code
    results: {dataset: demo/code, task: code}
  - name: other
"""
REPORTED: dict[str, Any] = {
    "harness": "lm-eval 0.4.9",
    "date": "2026-08-01",
    "settings": {"chat template": "yes"},
    "tasks": {
        "maths": {"metric": "exact_match", "details": {"few shots": "5\n@everyone"}},
        "code": {"metric": "pass@1"},
        "other": {"metric": "acc"},
    },
    "models": {
        "base": {"maths": {"value": 0.1}, "code": {"value": 0.2}, "other": {"value": 0.3}},
        "expert:coder": {"maths": {"value": 0.4}},
        "merge": {"maths": {"value": 0.00001}, "code": {"value": 0.6}, "other": {"value": 0.7}},
    },
}


def register(shop: Shop, name: str, definition: str | None) -> None:
    if shop.hub.store.find(f"demo/{name}", "dataset"):
        shop.hub.store.delete_repo(f"demo/{name}", "dataset")
    shop.hub.store.create_repo(f"demo/{name}", repo_type="dataset")
    if definition is not None:
        shop.hub.store.commit(f"demo/{name}", {"eval.yaml": definition.encode()}, repo_type="dataset")


def measured(shop: Shop, evaluate: str = EVALUATE, reported: dict[str, Any] | None = None) -> None:
    """A merged directory with scores in its report."""
    shop.place(card=evaluate)
    path = shop.directory / "ramekin/report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"evaluation": reported or REPORTED}))


def test_scores_go_where_the_hub_has_a_benchmark(shop: Shop) -> None:
    register(shop, "maths", "name: Maths\ntasks:\n- id: easy\n- id: hard\n")
    register(shop, "code", None)
    measured(shop)
    done = shop.publish()
    assert done.notes == ("code: demo/code is no registered benchmark, so its score goes to no leaderboard",)
    assert len(shop.commits()) == 1
    text = shop.text(RESULTS)
    (entry,) = YAML(typ="safe", pure=True).load(text)
    assert [entry] == yaml.safe_load(text)
    # On the loopback Hub there is no https, and so no source.
    assert entry == {
        "dataset": {"id": "demo/maths", "task_id": "hard"},
        "value": 0.00001,
        "date": "2026-08-01",
        "notes": "lm-eval 0.4.9; exact_match; chat template yes; few shots 5 @everyone",
    }
    dataset = {"dataset_id": entry["dataset"]["id"], "task_id": "hard"}
    assert EvalResultEntry(**dataset, **{name: entry[name] for name in ("value", "date", "notes")})


def test_the_source_is_the_report(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    register(shop, "maths", "tasks: [{id: hard}]")
    measured(shop)
    monkeypatch.setattr(eval_results, "https_url", lambda url: url.replace(shop.hub.url, "https://hub.example"))
    shop.publish()
    (entry,) = yaml.safe_load(shop.text(RESULTS))
    url = f"https://hub.example/{shop.repo}/blob/main/ramekin/report.json"
    assert entry["source"] == {"url": url, "name": "ramekin/report.json"}


@pytest.mark.parametrize(
    "definition", ["tasks:\n- id: easy\n", "tasks: 5", "- [", "tasks: [1, {name: hard}]", "a: *b", "!!python/none x"]
)
def test_a_task_that_a_benchmark_does_not_have_is_left_out(shop: Shop, definition: str) -> None:
    register(shop, "maths", definition)
    register(shop, "code", "tasks: [{id: code}]")
    measured(shop)
    assert shop.publish().notes == ("maths: demo/maths has no task hard, so its score goes to no leaderboard",)
    assert [entry["value"] for entry in yaml.safe_load(shop.text(RESULTS))] == [0.6]


def test_scores_are_in_the_pull_request(shop: Shop) -> None:
    register(shop, "maths", "tasks: [{id: hard}]")
    register(shop, "code", "tasks: [{id: code}]")
    measured(shop)
    assert shop.publish(pr=True).notes == ()
    assert [entry["value"] for entry in yaml.safe_load(shop.text(RESULTS, "refs/pr/1"))] == [0.00001, 0.6]
    assert "Scores by lm-eval 0.4.9 of 2026-08-01" in shop.said()[0]


def test_a_benchmark_that_may_not_be_read_is_left_out(shop: Shop) -> None:
    register(shop, "maths", "tasks: [{id: hard}]")
    register(shop, "code", "tasks: [{id: code}]")
    shop.hub.store.get("demo/maths", "dataset").set_info(gated="manual")
    shop.hub.store.get("demo/code", "dataset").set_info(private=True)
    shop.hub.store.create_repo(shop.repo)
    measured(shop)
    done = shop.publish(pr=True, token=GUEST.token)
    assert [note.partition(",")[0] for note in done.notes] == [
        "maths: demo/maths may not be read",
        "code: demo/code is no registered benchmark",
    ]
    assert RESULTS not in shop.files("refs/pr/1")


def test_scores_that_are_missing_are_added_and_old_ones_go(shop: Shop) -> None:
    register(shop, "maths", None)
    register(shop, "code", None)
    measured(shop)
    first = shop.publish()
    assert RESULTS not in shop.files()
    register(shop, "maths", "tasks: [{id: hard}]")
    assert shop.publish().fresh is False
    assert shop.commits()[0].startswith("ram+ scores of sha256:")
    shop.forget()
    assert shop.publish().commit != first.commit
    assert [one for one in shop.hub.log.requests() if one.method != "GET"] == []
    # Another merge, that was not measured.
    shop.place(key="sha256:" + "cd" * 32)
    shop.publish()
    assert RESULTS not in shop.files()


def test_the_hub_is_not_asked_without_need(shop: Shop) -> None:
    register(shop, "maths", "tasks: [{id: hard}]")
    measured(shop, "")
    shop.publish()
    assert RESULTS not in shop.files()
    assert shop.hub.log.requests("GET", "/api/datasets/") == []


def test_a_hub_that_does_not_say_keeps_the_merge_from_being_published(shop: Shop) -> None:
    measured(shop)
    shop.hub.faults.add(Fault("status", path="/api/datasets/demo/maths", status=500, times=None))
    with pytest.raises(PublishError, match="the Hub answered 500"):
        shop.publish()
    assert shop.commits() == []
