"""Adapters on a base: which tensors they change and by what, and what is refused."""

import json
import struct
from typing import Any

import pytest
from plain_checkpoints import CONFIG, facts, tensors

from ramekin.checkpoint.adapter import read_adapter_config
from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.checkpoint.tensors import LowRank, Tensor
from ramekin.plan.adapters import describe_adapter, fit_adapter
from ramekin.plan.compatibility import Finding, compare_checkpoints
from ramekin.plan.copies import foreign_copies
from ramekin.plan.laying import lay_out

UP = "model.layers.0.mlp.up_proj"  # [32, 16] in the base
TIED = CONFIG | {"tie_word_embeddings": True}
Contents = dict[str, tuple[str, tuple[int, ...]]]


def pair(module: str = UP, inner: int = 16, outer: int = 32, rank: int = 4, dtype: str = "F32") -> Contents:
    name = f"base_model.model.{module}.lora_"
    return {f"{name}A.weight": (dtype, (rank, inner)), f"{name}B.weight": (dtype, (outer, rank))}


def embedding(rows: int = 64) -> Contents:
    name = "base_model.model.model.embed_tokens.lora_embedding_"
    return {f"{name}A": ("F32", (4, rows)), f"{name}B": ("F32", (16, 4))}


def saved(name: str, *shape: int) -> Contents:
    return {f"base_model.model.{name}": ("F32", shape)}


def adapter(contents: Contents, role: str = "expert:x", **config: Any) -> CheckpointFacts:
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "org/base"} | config
    made = read_adapter_config(json.dumps(settings).encode(), "adapter_config.json")
    plain = facts(role, contents, config={}, small={})
    return CheckpointFacts(role, plain.source, plain.inventory, {}, plain.files, made)


def parts(base: CheckpointFacts, expert: CheckpointFacts) -> dict[str, Any]:
    assert expert.adapter
    return dict(fit_adapter(base, expert, expert.adapter).parts)


def told(base: CheckpointFacts, expert: CheckpointFacts) -> tuple[Finding, ...]:
    return compare_checkpoints(base, {"x": expert})


def error(base: CheckpointFacts, expert: CheckpointFacts) -> str:
    (finding,) = [finding for finding in told(base, expert) if finding.severity == "error"]
    assert finding.hint
    return f"{finding.subject}: {finding.what}"


class TestProducts:
    def test_a_weight_changes_by_its_pair_and_others_stay(self) -> None:
        base, expert = facts(), adapter(pair(), use_rslora=True)
        assert told(base, expert) == ()
        (shard,) = lay_out(base, {"x": expert, "y": facts("expert:y")}).shards
        for task in shard.tensors:
            part, full = task.experts
            assert isinstance(full, Tensor)
            if task.name == f"{UP}.weight":
                assert isinstance(part, LowRank)
                assert (part.a.shape, part.b.shape, part.transposed) == ((4, 16), (32, 4), False)
                assert part.scaling == 8 / 2.0
                assert part.shape == task.shape
                assert part.nbytes == 4 * (4 * 16 + 32 * 4)
                assert task.input_bytes == task.base.nbytes + full.nbytes + part.nbytes
            else:
                assert part is None
                assert task.input_bytes == task.base.nbytes + full.nbytes

    def test_input_bytes_count_what_is_read(self) -> None:
        base, expert = facts(), adapter(pair())
        layout = lay_out(base, {"x": expert})
        held = sum(tensor.nbytes for tensor in base.inventory.tensors.values())
        assert layout.input_bytes == held + sum(tensor.nbytes for tensor in expert.inventory.tensors.values())

    def test_ranks_and_scalings_by_pattern(self) -> None:
        second = UP.replace("0", "1")
        expert = adapter(pair() | pair(second, rank=2), rank_pattern={"layers.1.mlp.up_proj": 2}, alpha_pattern={UP: 2})
        found = parts(facts(), expert)
        assert [(part.rank, part.scaling) for part in found.values()] == [(4, 0.5), (2, 4.0)]
        assert describe_adapter(facts(), expert) == "LoRA adapter, ranks 2 to 4, 4 tensors"

    def test_a_weight_that_is_stored_the_other_way_round(self) -> None:
        # As in GPT-2: [in, out]. PEFT goes by the kind of the module, whatever the config says.
        base = facts(
            contents={"h.0.attn.c_attn.weight": ("F32", (16, 48)), "h.0.attn.c_proj.weight": ("F32", (16, 16))}
        )
        contents = pair("h.0.attn.c_attn", 16, 48) | pair("h.0.attn.c_proj", 16, 16)
        for flag in (True, False):
            found = parts(base, adapter(contents, fan_in_fan_out=flag))
            assert found["h.0.attn.c_attn.weight"].transposed
            assert found["h.0.attn.c_attn.weight"].shape == (16, 48)
            assert found["h.0.attn.c_proj.weight"].transposed is flag

    def test_an_embedding(self) -> None:
        found = parts(facts(), adapter(embedding()))["model.embed_tokens.weight"]
        assert (found.transposed, found.shape) == (True, (64, 16))

    def test_other_names_of_the_same_model(self) -> None:
        bare = {name.removeprefix("model."): value for name, value in tensors(head=False).items()}
        assert list(parts(facts(contents=bare), adapter(pair()))) == ["layers.0.mlp.up_proj.weight"]
        assert list(parts(facts(), adapter(pair("layers.0.mlp.up_proj")))) == [f"{UP}.weight"]
        gpt = facts(contents={"h.0.c_fc.weight": ("F32", (16, 64))})
        assert list(parts(gpt, adapter(pair("transformer.h.0.c_fc", 16, 64)))) == ["h.0.c_fc.weight"]

    def test_names_that_two_tensors_could_have(self) -> None:
        both = {"model.w.weight": ("F32", (32, 16)), "transformer.w.weight": ("F32", (32, 16))}
        assert "may be for `model.w.weight` or `transformer.w.weight`" in error(
            facts(contents=both), adapter(pair("w"))
        )

    @pytest.mark.parametrize(
        ("contents", "config", "words"),
        [
            (pair("model.layers.9.mlp.up_proj"), {}, "does not have"),
            (pair(inner=17), {}, "changes a tensor of 32 x 17, and `model.layers.0.mlp.up_proj.weight` is 32 x 16"),
            (pair("model.norm", 16, 1), {}, "`model.norm.weight` is 16"),
            (pair(), {"r": 8}, "has rank 4, and adapter_config.json says 8"),
            (pair(), {"rank_pattern": {"up_proj": 2}}, "says 2"),
            (pair(), {"target_modules": ["q_proj"]}, "`target_modules` does not name"),
            (embedding(rows=65), {}, "changes a tensor of 16 x 65"),
            (pair() | pair(UP.removeprefix("model.")), {}, "a second change"),
            (pair(), {"rank_pattern": {".*.*.*.*x": 4}}, "too many patterns"),
            (saved("model.norm.weight", 17), {}, "is 16 in the base and 17 here"),
            (saved("score.weight", 2, 16), {}, "does not have"),
        ],
    )
    def test_what_does_not_fit(self, contents: Contents, config: dict[str, Any], words: str) -> None:
        assert words in error(facts(), adapter(contents, **config))

    def test_many_of_a_kind_are_one_finding(self) -> None:
        contents = {key: value for n in range(9) for key, value in pair(f"model.layers.{n}.self_attn.q_proj").items()}
        found = [f for f in told(facts(), adapter(contents)) if f.severity == "error"]
        assert [f.subject for f in found] == ["base_model.model.model.layers.{0-8}.self_attn.q_proj.lora_A.weight"]

    def test_fused_experts_are_no_matrices(self) -> None:
        fused = facts(contents={"mlp.weight": ("BF16", (4, 32, 16))})
        assert "has 3 dimensions" in error(fused, adapter(pair("mlp")))


class TestSaved:
    def test_a_module_that_was_saved_whole_replaces_the_base_s(self) -> None:
        expert = adapter(pair() | saved("lm_head.weight", 64, 16), modules_to_save=["lm_head"])
        found = parts(facts(), expert)
        assert isinstance(found["lm_head.weight"], Tensor)
        assert told(facts(), expert) == ()

    def test_an_embedding_that_is_padded_differently_is_merged_as_far_as_both_go(self) -> None:
        contents = saved("model.embed_tokens.weight", 72, 16) | saved("lm_head.weight", 48, 16)
        expert = adapter(contents, modules_to_save=["embed_tokens", "lm_head"])
        found = told(facts(), expert)
        assert [finding.severity for finding in found] == ["note", "note"]
        assert "is 64 x 16 in the base and 72 x 16 here; rows that both have are merged" in found[0].what
        held = parts(facts(), expert)
        assert (held["model.embed_tokens.weight"].shape, held["lm_head.weight"].shape) == ((72, 16), (48, 16))
        watched = compare_checkpoints(facts(), {"x": expert}, watched=True)
        assert [finding.severity for finding in watched] == ["error", "error"]
        assert all("models that are watched" in finding.what for finding in watched)

    @pytest.mark.parametrize("shape", [(2000, 16), (66, 32), (66,)])
    def test_what_no_padding_explains_does_not_fit(self, shape: tuple[int, ...]) -> None:
        words = error(facts(), adapter(saved("model.embed_tokens.weight", *shape), modules_to_save=["embed_tokens"]))
        assert "is 64 x 16 in the base and " in words

    def test_a_copy_of_the_adapted_embedding_must_be_the_base_s(self) -> None:
        contents = embedding() | saved("model.embed_tokens.base_layer.weight", 64, 16)
        base, expert = facts(contents=tensors("BF16")), adapter(contents)
        (note,) = told(base, expert)
        assert (note.severity, "is used instead" in note.what) == ("note", True)
        assert isinstance(parts(base, expert)["model.embed_tokens.weight"], LowRank)
        values = [float(n % 7) for n in range(64 * 16)]
        words = struct.pack("<1024f", *values)
        halves = b"".join(words[n + 2 : n + 4] for n in range(0, len(words), 4))

        def reader(tensor: Tensor, data: bytes) -> Any:
            return lambda file, start, stop: data[start - tensor.start : stop - tensor.start]

        original = base.inventory.tensors["model.embed_tokens.weight"]
        copy = expert.inventory.tensors["base_model.model.model.embed_tokens.base_layer.weight"]
        assert list(foreign_copies(base, expert, reader(original, halves), reader(copy, words))) == []
        for other in (b"\1" + words[1:], words[:-1] + b"\1"):
            (problem,) = foreign_copies(base, expert, reader(original, halves), reader(copy, other))
            assert "is not the base's `model.embed_tokens.weight`" in problem.what
        assert list(foreign_copies(base, facts("expert:y"), reader(original, b""), reader(copy, b""))) == []


class TestTied:
    BASE = facts(contents=tensors(head=False), config=TIED)

    def test_one_of_two_tied_tensors_cannot_change_alone(self) -> None:
        assert "both as embedding and as output layer" in error(self.BASE, adapter(embedding()))
        assert "ties to its embedding" in error(self.BASE, adapter(pair("lm_head", 16, 64)))
        assert "both as" in error(facts(config=TIED), adapter(pair("lm_head", 16, 64)))

    @pytest.mark.parametrize("config", [{}, {"ensure_weight_tying": True}])
    def test_factors_of_both_are_refused_even_as_a_pair(self, config: dict[str, Any]) -> None:
        # PEFT's own merge adds such a change twice.
        found = told(self.BASE, adapter(embedding() | pair("lm_head", 16, 64), **config))
        assert [finding.severity for finding in found] == ["error", "error"]

    def test_a_replaced_embedding_unties(self) -> None:
        contents = saved("model.embed_tokens.weight", 64, 16)
        assert "PEFT unties" in error(self.BASE, adapter(contents, modules_to_save=["embed_tokens"]))
        assert "ties to its embedding" in error(
            self.BASE, adapter(saved("lm_head.weight", 64, 16), modules_to_save=["lm_head"])
        )

    @pytest.mark.parametrize(
        "config", [{}, {"modules_to_save": ["embed_tokens", "model.embed_tokens"], "ensure_weight_tying": True}]
    )
    def test_a_pair_that_stayed_tied_is_merged_once(self, config: dict[str, Any]) -> None:
        contents = saved("model.embed_tokens.weight", 64, 16) | saved("lm_head.weight", 64, 16)
        expert = adapter(contents, **config)
        (note,) = told(self.BASE, expert)
        assert (note.severity, note.subject) == ("note", "base_model.model.lm_head.weight")
        assert list(parts(self.BASE, expert)) == ["model.embed_tokens.weight"]

    def test_other_modules_of_a_tied_base(self) -> None:
        assert told(self.BASE, adapter(pair())) == ()


class TestComparison:
    def test_another_base_by_name_is_a_note(self) -> None:
        (note,) = told(facts(), adapter(pair(), base_model_name_or_path="unsloth/other-4bit"))
        assert (note.severity, note.subject) == ("note", "base_model_name_or_path")

    def test_a_variant_is_refused_by_key_and_by_tensor(self) -> None:
        contents = pair() | {f"base_model.model.{UP}.lora_magnitude_vector": ("F32", (32,))}
        found = told(facts(), adapter(contents, use_dora=True))
        assert [f.subject for f in found if f.severity == "error"] == [
            "adapter_config.json: use_dora",
            f"base_model.model.{UP}.lora_magnitude_vector",
        ]

    def test_full_weights_beside_an_adapter_are_told_of(self) -> None:
        (note,) = compare_checkpoints(
            facts(), {"x": facts("expert:x", small={"adapter_config.json": {"peft_type": "LORA"}})}
        )
        assert "the full weights are merged" in note.what

    def test_an_adapter_of_a_quantised_base_is_not_compared_with_it(self) -> None:
        (finding,) = told(facts(contents=tensors("F8_E4M3")), adapter(pair()))
        assert (finding.role, finding.subject) == ("base", "weights")

    def test_its_tokenizer_is_compared_where_it_has_one(self) -> None:
        expert = adapter(pair())
        other = facts("expert:x", small={"tokenizer.json": {"model": {"vocab": {"b": 0}}}}).files
        shipped = CheckpointFacts("expert:x", "org/x", expert.inventory, {}, other, expert.adapter)
        assert [f.subject for f in told(facts(), shipped) if f.severity == "error"] == ["tokenizer"]
