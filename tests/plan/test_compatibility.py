"""What fits together and what does not, every difference at once."""

from typing import Any

import pytest
from plain_checkpoints import CONFIG, facts, tensors

from ramekin.checkpoint.facts import CheckpointFacts
from ramekin.errors import IncompatibleError
from ramekin.plan.compatibility import Finding, compare_checkpoints, require_compatible
from ramekin.plan.copies import untied_heads

TIED = CONFIG | {"tie_word_embeddings": True}


def compared(base: CheckpointFacts, *experts: CheckpointFacts, watched: bool = False) -> tuple[Finding, ...]:
    return compare_checkpoints(base, {expert.place: expert for expert in experts}, watched=watched)


def brief(findings: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.severity, finding.subject) for finding in findings}


def expert(contents: dict[str, Any] | None = None, **more: Any) -> CheckpointFacts:
    return facts("expert:x", contents, **more)


def test_the_same_architecture_fits() -> None:
    assert compared(facts(), expert(), facts("expert:y", files=3)) == ()


def test_missing_and_extra_tensors_are_folded_and_complete() -> None:
    found = compared(
        facts(contents=tensors(layers=3)), expert(tensors(layers=1) | {"v_head.weight": ("BF16", (1, 16))})
    )
    assert brief(found) == {
        ("error", "model.layers.{1-2}.*"),
        ("error", "v_head.weight"),
    }
    assert "is in the base and not in this expert (4 tensors)" in found[0].what
    assert all(finding.hint for finding in found)


def test_shapes() -> None:
    (finding,) = compared(facts(), expert(tensors() | {"model.norm.weight": ("BF16", (4, 4))}))
    assert finding.severity == "error"
    assert finding.what == "is 16 in the base and 4 x 4 here"


def test_everything_is_told_at_once_errors_first() -> None:
    wrong = tensors(layers=1) | {"model.norm.weight": ("BF16", (8,))}
    found = compared(
        facts(),
        expert(wrong, config=CONFIG | {"model_type": "qwen2", "eos_token_id": 5}),
        facts("expert:y", wrong, small={"tokenizer.json": {"model": {"vocab": {"b": 0}}}}),
    )
    assert {f.role for f in found} == {"expert:x", "expert:y"}
    assert {"model_type", "tokenizer", "model.norm.weight", "model.layers.1.*"} <= {f.subject for f in found}
    severities = [f.severity for f in found]
    assert severities == sorted(severities)
    with pytest.raises(IncompatibleError) as caught:
        require_compatible(found, {"expert:x": "org/x", "expert:y": "org/y"})
    assert caught.value.exit_code == 5
    assert len(caught.value.problems) == severities.count("error")
    assert caught.value.problems[0].what.startswith("x (org/x): ")


def test_notes_alone_are_compatible() -> None:
    require_compatible(compared(facts(), expert(tensors("F32"))), {})


class TestTiedEmbeddings:
    def test_an_expert_that_stores_the_tied_layer_is_told_of(self) -> None:
        base = facts(contents=tensors(head=False), config=TIED)
        assert brief(compared(base, expert(config=TIED))) == {("note", "lm_head.weight")}
        assert compared(base, expert(tensors(head=False), config=TIED)) == ()

    def test_a_base_that_stores_it_leaves_it_out_as_well(self) -> None:
        assert compared(facts(config=TIED), expert(tensors(head=False), config=TIED)) == ()

    @pytest.mark.parametrize("head", [True, False])
    @pytest.mark.parametrize("wrap", [dict, lambda config: {"text_config": config}], ids=["plain", "multimodal"])
    def test_an_expert_that_unties_them_follows_the_base(self, head: bool, wrap: Any) -> None:
        """Whether an output layer that it stores is the embedding is seen when the files are here."""
        base = facts(contents=tensors(head=False), config=wrap(TIED))
        found = compared(base, expert(tensors(head=head), config=wrap(CONFIG)))
        assert {finding.severity for finding in found} == {"note"}
        (ties,) = [finding for finding in found if "tie_word_embeddings" in finding.subject]
        assert "is `true` in the base and `false` here; the base is followed" in ties.what
        assert ("found to be" in ties.what) == head

    def test_a_base_that_unties_them_has_no_place_for_an_expert_that_does_not(self) -> None:
        found = compared(facts(), expert(tensors(head=False), config=TIED))
        assert brief(found) == {("error", "tie_word_embeddings"), ("error", "lm_head.weight")}

    @pytest.mark.parametrize("same", [True, False])
    def test_an_output_layer_that_was_stored_is_held_against_the_embedding(self, same: bool) -> None:
        base, other = facts(contents=tensors(head=False), config=TIED), expert(tensors(layers=0), config=CONFIG)
        head = other.inventory.tensors["lm_head.weight"]

        def read(file: str, start: int, stop: int) -> bytes:
            return (b"\1" if start >= head.start and not same else b"\0") * (stop - start)

        problems = list(untied_heads(base, other, read))
        assert len(problems) == (not same)
        assert all("`lm_head.weight` is not the embedding" in problem.what for problem in problems)
        assert list(untied_heads(base, expert(config=TIED), read)) == []
        assert list(untied_heads(facts(), other, read)) == []

    def test_a_silent_config_is_settled_by_the_tensors(self) -> None:
        silent = {"vocab_size": 64}
        base = facts(contents=tensors(head=False), config=silent)
        assert brief(compared(base, expert(config=silent))) == {("note", "lm_head.weight")}
        lacking = compared(facts(config=silent), expert(tensors(head=False), config=silent))
        assert brief(lacking) == {("error", "lm_head.weight")}

    def test_without_tying_the_output_layer_must_be_there(self) -> None:
        assert brief(compared(facts(), expert(tensors(head=False)))) == {("error", "lm_head.weight")}

    def test_nothing_is_tied_to_an_embedding_that_is_not_there(self) -> None:
        only_head = {"lm_head.weight": ("BF16", (64, 16))}
        base = facts(contents=only_head, config=TIED)
        assert compared(base, expert(only_head, config=TIED)) == ()
        assert brief(compared(base, expert(tensors(layers=0, head=False), config=TIED))) >= {
            ("error", "lm_head.weight")
        }

    def test_a_multimodal_config_ties_in_its_text_part(self) -> None:
        config = {"text_config": TIED}
        base = facts(contents=tensors(head=False), config=config)
        assert brief(compared(base, expert(config=config))) == {("note", "lm_head.weight")}


class TestPaddedVocabulary:
    @pytest.mark.parametrize(("rows", "stated"), [(72, 72), (5000, 5000), (72, 64), (48, 48)])
    def test_a_padding_is_a_note(self, rows: int, stated: int) -> None:
        found = compared(facts(), expert(tensors(rows=rows), config=CONFIG | {"vocab_size": stated}))
        assert brief(found) == {("note", "model.embed_tokens.weight"), ("note", "lm_head.weight")}
        assert "the base decides the shape" in found[0].what

    def test_rows_that_no_config_explains_are_an_error(self) -> None:
        found = compared(facts(), expert(tensors(rows=5000)))
        assert brief(found) == {("error", "model.embed_tokens.weight"), ("error", "lm_head.weight")}

    @pytest.mark.parametrize("rows", [72, 48])
    def test_models_that_are_watched_have_none(self, rows: int) -> None:
        padded = expert(tensors(rows=rows), config=CONFIG | {"vocab_size": rows})
        found = compared(facts(), padded, watched=True)
        assert brief(found) == {("error", "model.embed_tokens.weight"), ("error", "lm_head.weight")}
        assert f"64 x 16 in the base and {rows} x 16 here; models that are watched" in found[0].what
        assert all("watches no models" in finding.hint for finding in found)

    def test_the_other_dimension_must_agree(self) -> None:
        wide = tensors() | {"model.embed_tokens.weight": ("BF16", (72, 32))}
        assert brief(compared(facts(), expert(wide))) == {("error", "model.embed_tokens.weight")}

    def test_other_tensors_have_no_padding(self) -> None:
        longer = tensors() | {"model.norm.weight": ("BF16", (17,))}
        assert brief(compared(facts(), expert(longer))) == {("error", "model.norm.weight")}


class TestTypes:
    def test_another_floating_type_is_a_note(self) -> None:
        (finding,) = compared(facts(), expert(tensors("F32")))
        assert (finding.severity, finding.subject) == ("note", "all tensors")
        assert finding.what == "are float32 here and bfloat16 in the base"

    def test_some_tensors_of_another_type(self) -> None:
        (finding,) = compared(facts(), expert(tensors() | {"model.norm.weight": ("F32", (16,))}))
        assert finding.subject == "1 of 7 tensors"

    def test_whole_numbers_are_copied_and_must_be_of_one_type(self) -> None:
        buffers = tensors() | {"position_ids": ("I64", (1, 16))}
        assert compared(facts(contents=buffers), expert(buffers)) == ()
        (finding,) = compared(facts(contents=buffers), expert(tensors() | {"position_ids": ("I32", (1, 16))}))
        assert finding.what == "is stored as I64 in the base and as I32 here"
        (finding,) = compared(facts(contents=buffers), expert(tensors() | {"position_ids": ("F32", (1, 16))}))
        assert finding.severity == "error"

    @pytest.mark.parametrize("dtype", ["F64", "C64"])
    def test_weights_of_a_type_that_is_not_merged(self, dtype: str) -> None:
        found = compared(facts(), expert(tensors(dtype)))
        assert all(f.severity == "error" and f"stored as {dtype}" in f.what for f in found)
        assert sum(f.subject == "model.norm.weight" for f in found) == 1

    @pytest.mark.parametrize(
        ("name", "dtype"), [("layers.0.weight", "I8"), ("layers.0.qweight", "I32"), ("w.weight", "U8")]
    )
    def test_packed_weights_are_quantised(self, name: str, dtype: str) -> None:
        packed = tensors() | {name: (dtype, (8, 8))}
        found = compared(facts(contents=packed), expert(packed))
        assert [f.role for f in found] == ["base", "expert:x"]
        assert all(f.severity == "error" and "cannot be merged" in f.what for f in found)

    @pytest.mark.parametrize(
        ("packed", "config", "words", "hint"),
        [
            ({"q.weight": ("F8_E4M3", (8, 8)), "q.weight_scale_inv": ("F32", (1, 1))}, "fp8", "float8", "FineGrained"),
            ({"q.weight": ("F8_E5M2", (8, 8)), "q.weight_scale": ("F32", (1,))}, None, "float8", "FineGrained"),
            (
                {"q.qweight": ("I32", (8, 8)), "q.qzeros": ("I32", (8, 1)), "q.scales": ("F16", (8, 8))},
                "gptq", "GPTQ or AWQ (gptq, 4 bits)", "quantised from",
            ),
            ({"q.qweight": ("I32", (8, 8)), "q.qzeros": ("I32", (8, 1))}, "awq", "(awq, 4 bits)", "quantised from"),
            (
                {"q.weight": ("U8", (32, 1)), "q.weight.absmax": ("F32", (1,)), "q.weight.quant_map": ("F32", (16,))},
                "bitsandbytes", "4-bit bitsandbytes", "dequantize()",
            ),
            ({"q.weight": ("I8", (8, 8)), "q.SCB": ("F32", (8,))}, "bitsandbytes", "8-bit", "dequantize()"),
            (
                {"q.weight_packed": ("I32", (8, 1)), "q.weight_scale": ("BF16", (8, 1))},
                "compressed-tensors", "compressed-tensors", "CompressedTensorsConfig",
            ),
            (
                {"q.W_q": ("U8", (8, 8)), "q.scale": ("F16", (8, 1)), "q.zero": ("F16", (8, 1))},
                None, "HQQ", "quantised from",
            ),
            (
                {"q.weight._data": ("I8", (8, 8)), "q.weight._scale": ("BF16", (8, 1)), "q.input_scale": ("F32", ())},
                None, "quanto", "quantised from",
            ),
            (
                {"gate_up_proj_blocks": ("U8", (4, 8, 2, 16)), "gate_up_proj_scales": ("U8", (4, 8, 2))},
                "mxfp4", "MXFP4", "Mxfp4Config",
            ),
        ],
    )  # fmt: skip
    def test_quantised_weights_are_one_error_of_each_source(
        self, packed: dict[str, Any], config: str | None, words: str, hint: str
    ) -> None:
        contents = tensors(layers=0) | {f"model.layers.{n}.{name}": t for n in range(9) for name, t in packed.items()}
        settings = CONFIG | ({"quantization_config": {"quant_method": config, "bits": 4}} if config else {})
        (found,) = compared(facts(), expert(contents, config=settings))
        assert (found.severity, found.role, found.subject) == ("error", "expert:x", "weights")
        assert words in found.what
        assert hint in found.hint
        (base,) = compared(facts(contents=contents, config=settings), expert())
        assert base.role == "base"

    def test_buffers_are_not_quantised_weights(self) -> None:
        buffers = tensors() | {
            "h.0.attn.bias": ("BOOL", (1, 1, 8, 8)), "h.0.mask": ("U8", (1, 1, 8, 8)), "ids": ("I64", (1, 8)),
        }  # fmt: skip
        assert compared(facts(contents=buffers), expert(buffers)) == ()

    def test_a_quantised_config_is_refused(self) -> None:
        found = compared(facts(), expert(config=CONFIG | {"quantization_config": {"quant_method": "gptq"}}))
        assert brief(found) == {("error", "quantization_config")}


class TestNotes:
    def test_an_expert_without_config(self) -> None:
        assert brief(compared(facts(), expert(config={}))) == {("note", "config.json")}

    def test_a_base_without_tokenizer(self) -> None:
        assert brief(compared(facts(small={}), expert())) == {("note", "tokenizer")}

    def test_weights_that_are_somebody_else_s(self) -> None:
        found = compared(
            facts(weights="w"), expert(weights="w"), facts("expert:y", weights="v"), facts("expert:z", weights="v")
        )
        assert [(f.role, f.what) for f in found] == [
            ("expert:x", "are the same files as those of base"),
            ("expert:z", "are the same files as those of y"),
        ]
