"""From recorded runs to tokens of the role."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from chats import CHATML, tokenizer

from ramekin.arm.roles.finding import Role, find_roles
from ramekin.arm.roles.looking import Search
from ramekin.arm.roles.parsers import PARSERS, Parser
from ramekin.arm.roles.rendering import Rendered, Renderer
from ramekin.arm.roles.trajectories import Trajectory
from ramekin.arm.texts import together
from ramekin.errors import DamagedError, IncompatibleError

TOKENIZER = tokenizer()
CALL = '<tool_call>\n{"name": "lookup", "arguments": {"query": "red {shoes} 👟"}}\n</tool_call>'


def run(number: int, *turns: str, shown: set[int] = frozenset(), after: str = "") -> Trajectory:
    messages = [{"role": "system", "content": f"example: {CALL}"}]
    for turn in turns:
        messages += [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": turn}]
    messages += [{"role": "user", "content": after}] if after else []
    return Trajectory(str(number), f"task {number}", tuple(messages), demonstrations=frozenset(shown))


def find_role(
    trajectories: Sequence[Trajectory], tokenizer: Any, renderer: Callable[[], Renderer], search: Search
) -> Role:
    (role,) = find_roles(trajectories, tokenizer, renderer, [search], "the trajectories")
    if problem := role.unread or role.empty:
        raise DamagedError(problems=[problem])
    return role


def find(*trajectories: Trajectory, parser: str | Parser = "tool-call", **options: object) -> Role:
    chosen = PARSERS[parser] if isinstance(parser, str) else parser
    return find_role(trajectories, TOKENIZER, lambda: Renderer(TOKENIZER), Search(chosen, **options))


def words(role: Role, number: int = 0) -> str:
    found = role.trajectories[number]
    return TOKENIZER.decode([found.ids[at] for at in found.positions])


def test_the_tokens_of_the_role_and_nothing_else() -> None:
    role = find(run(1, f"I look.\n{CALL}", "Fine."), run(2, "No call."))
    assert words(role) == CALL
    (found,) = role.trajectories
    # What comes after the last token of the role is not needed.
    assert found.positions[-1] == len(found.ids) - 1
    assert [found.text[start:end] for start, end in found.spans] == [CALL]
    assert (role.without, role.violations, role.cut, role.twice, role.dropped) == (1, 0, 0, 0, {})
    assert role.role_tokens == len(found.positions) < role.tokens
    assert role.samples == [found]


def test_demonstrations_are_read_but_not_counted() -> None:
    own = CALL.replace("red", "blue")
    assert words(find(run(1, CALL, own, shown={2}))) == own
    assert words(find(run(1, CALL, own), shown_turns=1)) == own
    assert words(find(run(1, CALL, own), last_turn=True)) == own
    assert words(find(run(1, CALL, own))) == CALL + own


def test_violations_are_counted_and_left_out() -> None:
    role = find(run(1, '<tool_call>{"name"</tool_call>', CALL), run(2, CALL, "<tool_call>x", "<tool_call>y"))
    assert (role.violations, role.violating) == (3, 2)
    assert words(role) == words(role, 1) == CALL


def test_how_many_turns_have_violations() -> None:
    bad = '<tool_call>{"name"</tool_call>'
    role = find(run(1, f"{bad} {bad}", CALL, "talk"), run(2, CALL, "<tool_call>x", "<tool_call>y"), run(3, CALL))
    assert (role.violations, role.violating, role.violating_turns, role.turns) == (4, 2, 3, 7)
    assert (role.violation_rate, role.turn_violation_rate) == (2 / 3, 3 / 7)
    # Demonstrations are nobody's turns, and of the last turn alone there is one.
    shown = find(run(1, bad, CALL, shown={2}), run(2, bad, CALL), shown_turns=0, last_turn=True)
    assert (shown.violations, shown.violating_turns, shown.turns) == (0, 0, 2)
    shown = find(run(1, bad, CALL, shown={2}), run(2, bad, f"{CALL} more"))
    assert (shown.violations, shown.violating_turns, shown.turns) == (1, 1, 3)
    # Of what there is twice each counts once; of texts that are given nobody knows the turns.
    assert find(run(1, bad, CALL), run(1, bad, CALL)).turns == 2
    given = Trajectory("a", "a", text=f"x {CALL}", spans=((2, 9),))
    assert (find(given).turns, find(given).turn_violation_rate) == (0, 0)


def test_calls_that_the_tools_do_not_allow_are_violations() -> None:
    tools = [{"type": "function", "function": {"name": "lookup", "parameters": {"required": ["query"]}}}]
    other = CALL.replace("lookup", "book")
    without = CALL.replace("query", "quarry")
    runs = [replace(run(1, CALL, other), tools=tuple(tools)), replace(run(2, without, f"{CALL} "), tools=tuple(tools))]
    role = find(*runs)
    assert words(role) == words(role, 1) == CALL
    assert (role.violations, role.violating, role.violating_turns, role.turns) == (2, 2, 2, 4)
    assert find(*(replace(each, tools=None) for each in runs)).violations == 0


def test_a_click_on_what_the_page_does_not_offer_is_a_violation() -> None:
    page = "Observation: shoes\n\nAvailable Actions:\n{'has_search_bar': False, 'clickables': ['buy now', 'b000']}"
    said = run(1, "Action: click[Buy Now]", "Action: click[B001]", "Action: click[B001]").messages
    messages = [*said[:1], {"role": "user", "content": page}, said[2], {"role": "user", "content": page}, *said[4:]]
    role = find(Trajectory("a", "a", tuple(messages)), parser="webshop")
    # What the third turn was offered is not known.
    assert words(role) == "Action: click[Buy Now]Action: click[B001]"
    assert (role.violations, role.violating_turns, role.turns) == (1, 1, 3)


def test_a_span_that_the_limit_cuts_is_left_out_whole() -> None:
    whole = find(run(1, CALL, CALL)).trajectories[0]
    second = find(run(1, CALL, CALL), limit=len(whole.ids) - 1)
    assert words(second) == CALL
    assert second.cut == 1
    assert find(run(1, CALL, CALL), limit=len(whole.ids)).trajectories[0] == replace(whole, length=len(whole.ids))


def test_how_long_a_trajectory_is_in_all() -> None:
    """Some models do otherwise in longer texts, also where no role is there any more."""
    run_on = run(1, CALL, after="x" * 50)
    found = find(run_on).trajectories[0]
    assert found.length == len(TOKENIZER(found.text, add_special_tokens=False)["input_ids"]) > len(found.ids) + 40
    assert find(run_on, limit=len(found.ids) + 3).trajectories[0].length == len(found.ids) + 3
    (text,) = together({"role": find(run_on)})
    assert (len(text.ids), text.whole) == (len(found.ids), found.length)


def test_what_is_there_twice_counts_once() -> None:
    again = run(1, CALL)
    role = find(again, Trajectory("other", "task", again.messages), run(2, CALL))
    assert len(role.trajectories) == 2
    assert role.twice == 1
    assert any("twice" in warning for warning in role.warnings)


def test_rendered_texts_need_no_template() -> None:
    bare = tokenizer(None)
    text = f"anything {CALL} more"
    given = Trajectory("a", "a", text=text, spans=((9, 9 + len(CALL)), (12, 20)))

    def unasked() -> Renderer:
        raise AssertionError

    role = find_role([given], bare, unasked, Search(PARSERS["none"]))
    assert words(role) == CALL


def test_what_looks_wrong_is_told() -> None:
    short, long = find(run(1, "ab"), parser="assistant"), find(run(1, "z" * 999), parser="assistant")
    assert any("probably wrong" in warning for warning in short.warnings + long.warnings)
    assert find(run(1, CALL), run(2, CALL)).warnings == []
    most = find(run(1, CALL), run(2, "x"), run(3, "y"))
    assert any("do not have the role" in warning for warning in most.warnings)


def test_nothing_found_is_an_error() -> None:
    with pytest.raises(DamagedError, match="ARM_EMPTY_ROLE"):
        find(run(1, "talk"), parser="webshop")


def test_many_that_cannot_be_used_are_an_error_and_few_a_warning() -> None:
    bad = run(0, "x <|im_end|>\n y")
    with pytest.raises(
        DamagedError, match="1 of 10 trajectories of the trajectories cannot be used: `0`: the template"
    ):
        find(bad, *(run(number, CALL) for number in range(1, 10)))
    role = find(bad, *(run(number, CALL) for number in range(1, 20)))
    assert [*role.dropped] == ["0"]
    assert any("`0`: the template does not write" in warning for warning in role.warnings)


def test_several_roles_are_found_in_one_look() -> None:
    looked: list[str] = []

    class Counting(Renderer):
        def render(self, trajectory: Trajectory) -> Rendered:
            looked.append(trajectory.name)
            return super().render(trajectory)

    runs = [run(1, f"I look.\n{CALL}", "Fine."), run(2, "No call."), run(3, CALL, shown={2}), run(2, "No call.")]
    searches = [Search(PARSERS["tool-call"]), Search(PARSERS["assistant"], limit=70), Search(PARSERS["tool-call"])]
    found = find_roles(runs, TOKENIZER, lambda: Counting(TOKENIZER), searches, "the trajectories")
    assert found == [find_role(runs, TOKENIZER, lambda: Renderer(TOKENIZER), search) for search in searches]
    assert found[0] == found[2] != found[1]
    assert looked == ["1", "2", "3", "2"]


def test_slow_tokenizers_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="does not say where its tokens are"):
        find_role([run(1, CALL)], object(), lambda: Renderer(TOKENIZER), Search(PARSERS["tool-call"]))


def test_offsets_without_spaces_are_widened() -> None:
    trimming = tokenizer(CHATML, trims=True)
    turn = "Action: " + json.dumps({"name": "lookup", "arguments": {"q": "a b"}})
    role = find_role(
        [run(1, f"so {turn}")], trimming, lambda: Renderer(trimming), Search(PARSERS["react-json"], policy="majority")
    )
    found = role.trajectories[0]
    assert trimming.decode([found.ids[at] for at in found.positions]).strip() == turn
