"""The Action's inputs and GitHub's variables: checked at once, and tokens taken out of the environment."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramekin.action.settings import INPUT, Inputs, Settings, hand_over
from ramekin.errors import UsageError

GITHUB = {
    "GITHUB_REPOSITORY": "acme/agents",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_SHA": "ab" * 20,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_RUN_ID": "4711",
}
TOKEN = "hf_" + "a" * 34


def read(**inputs: str) -> Settings:
    return Settings.read(GITHUB | {INPUT + name.upper(): value for name, value in inputs.items()})


def problems(**inputs: str) -> list[str]:
    with pytest.raises(UsageError) as error:
        read(**inputs)
    return [problem.what for problem in error.value.problems]


def test_without_inputs_everything_is_as_documented() -> None:
    settings = read()
    assert settings.inputs == Inputs()
    assert settings.inputs.manifest == "merge.yaml"
    assert settings.inputs.cooldown == 24
    assert settings.github_token is None
    assert settings.api_url == "https://api.github.com"
    assert settings.run_url == "https://github.com/acme/agents/actions/runs/4711"


def test_all_inputs() -> None:
    inputs = read(
        command="update",
        manifest=" merges/*.yaml ",
        policy="merge",
        cooldown="2d",
        dashboard="True",
        on="hf-jobs:a10g-small",
        pr="true",
        adopt="false",
        allow_private_sources="true",
        allowed_namespaces="acme, demo",
    ).inputs
    assert inputs == Inputs(
        "update", "merges/*.yaml", "merge", 48, True, "hf-jobs:a10g-small", True, False, True, "acme, demo"
    )


@pytest.mark.parametrize("name", Inputs.__dataclass_fields__)
@pytest.mark.parametrize("value", ["--force", "-", "a\n::error::b", "a\x1b[31m", "x\u202ey"])
def test_no_input_is_an_option_or_has_several_lines(name: str, value: str) -> None:
    (found, *_) = problems(**{name: value})
    assert found.startswith(f"the input `{name.replace('_', '-')}` is `")
    assert found.isprintable()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "comment me"),
        ("command", "PLAN"),
        ("policy", "push"),
        ("manifest", "/etc/passwd"),
        ("manifest", "../../x.yaml"),
        ("manifest", "a/../../x.yaml"),
        ("cooldown", "soon"),
        ("cooldown", "24hours"),
        ("cooldown", "99999"),
        ("dashboard", "yes"),
        ("pr", "1"),
        ("adopt", "on"),
    ],
)
def test_what_means_nothing_is_refused(name: str, value: str) -> None:
    assert problems(**{name: value}) == [problems(**{name: value})[0]]
    assert f"`{name}`" in problems(**{name: value})[0]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(UsageError) as error:
        Settings.read(
            {f"{INPUT}PR": "1", f"{INPUT}COOLDOWN": "x", f"{INPUT}HF_TOKEN": "a b", "GITHUB_REPOSITORY": ".."}
        )
    assert len(error.value.problems) == 4
    assert "a b" not in str(error.value)


@given(st.text(max_size=60), st.sampled_from(sorted(Inputs.__dataclass_fields__)))
def test_any_text_is_taken_or_refused(value: str, name: str) -> None:
    try:
        settings = read(**{name: value})
    except UsageError:
        assert all(what.isprintable() for what in problems(**{name: value}))
        return
    taken = str(getattr(settings.inputs, name) or "")
    assert taken.isprintable()
    assert not taken.startswith("-")


class TestTokens:
    def test_show_nowhere(self) -> None:
        settings = Settings.read(GITHUB | {f"{INPUT}GITHUB_TOKEN": "ghs_" + "b" * 36, f"{INPUT}HF_TOKEN": TOKEN})
        assert "ghs_" not in repr(settings)
        assert "hf_" not in repr(settings)
        assert {secret.reveal() for secret in settings.secrets} == {TOKEN, "ghs_" + "b" * 36}

    def test_the_input_counts_before_the_variable(self) -> None:
        env = GITHUB | {f"{INPUT}GITHUB_TOKEN": "one", "GITHUB_TOKEN": "two"}
        assert Settings.read(env).github_token.reveal() == "one"
        assert Settings.read(GITHUB | {"GITHUB_TOKEN": "two"}).github_token.reveal() == "two"
        # The Hub's is none for GitHub.
        assert Settings.read(GITHUB | {f"{INPUT}HF_TOKEN": "three"}).github_token is None

    def test_are_taken_out_of_the_environment(self) -> None:
        names = ("HF_TOKEN", "GITHUB_TOKEN", "ALLOWED_NAMESPACES")
        env = GITHUB | {INPUT + name: f" {name.lower()} " for name in names} | {"GITHUB_TOKEN": "a", "GH_TOKEN": "b"}
        hand_over(env)
        assert env["HF_TOKEN"] == "hf_token"
        assert env["RAMEKIN_ALLOWED_NAMESPACES"] == "allowed_namespaces"
        assert not {f"{INPUT}HF_TOKEN", f"{INPUT}GITHUB_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"} & env.keys()

    def test_an_empty_input_leaves_what_is_there(self) -> None:
        env = {f"{INPUT}HF_TOKEN": "", "HF_TOKEN": "mine"}
        hand_over(env)
        assert env == {"HF_TOKEN": "mine"}


def test_addresses_of_another_github() -> None:
    settings = Settings.read(
        GITHUB | {"GITHUB_API_URL": "https://gh.example/api/v3/", "GITHUB_SERVER_URL": "https://gh.example/"}
    )
    assert settings.api_url == "https://gh.example/api/v3"
    assert settings.run_url.startswith("https://gh.example/acme/agents/")


def test_files_of_the_runner(tmp_path: Path) -> None:
    settings = Settings.read(GITHUB | {"GITHUB_WORKSPACE": str(tmp_path), "RUNNER_TEMP": str(tmp_path / "t")})
    assert (settings.workspace, settings.temporary) == (tmp_path, tmp_path / "t")
    assert settings.output is None
