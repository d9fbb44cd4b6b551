"""Settings come from four places in a fixed order, and a wrong one is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.errors import ConfigError
from overlaycast.settings import Settings, load


class Sample(Settings):
    """A sample command."""

    group: CliPositionalArg[str] = Field(description="the group")
    token: str = Field(description="the token")
    rate: float = Field(8.0, gt=0, description="Mbit/s")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "overlaycast.toml"


def sample(*argv: str) -> Sample:
    return load(Sample, list(argv), "overlaycast sample")


def test_flags_win_over_environment_over_file_over_defaults(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample("g", "--token", "t").rate == 8.0
    toml.write_text('[sample]\ntoken = "from-file"\nrate = 1\n')
    assert sample("g", "--config", str(toml)) == Sample.model_construct(group="g", token="from-file", rate=1.0)
    monkeypatch.setenv("OVERLAYCAST_RATE", "2")
    assert sample("g", "--config", str(toml)).rate == 2.0
    assert sample("g", "--config", str(toml), "--rate", "3").rate == 3.0


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        sample("g", "--token", "t").rate = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["g"], "overlaycast sample: token: required"),
        (["g", "--token", "t", "--rate", "-1"], "overlaycast sample: rate: Input should be greater than 0"),
        (["g", "--token", "t", "--rate", "x"], "overlaycast sample: rate: Input should be a valid number"),
        (["g", "--token", "t", "--speed", "1"], "overlaycast sample: unrecognized arguments: --speed"),
        (["--token", "t"], "overlaycast sample: the following arguments are required: GROUP"),
        (["g", "--config", "/nowhere.toml"], "config: /nowhere.toml: No such file"),
    ],
)
def test_a_wrong_flag_is_one_line(argv: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample(*argv)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[sample]\ntoken = "t"\ncolour = 1\n', "colour: unknown setting"),
        ("[sample\n", "not TOML"),
        ("sample = 3\n", "accepted is a table"),
    ],
)
def test_a_wrong_file_is_one_line(toml: Path, text: str, line: str) -> None:
    toml.write_text(text)
    with pytest.raises(ConfigError, match=line) as caught:
        sample("g", "--config", str(toml))
    assert "\n" not in str(caught.value)


class Told(Settings):
    """A command that can print JSON."""

    json_output: bool = Field(False, alias="json", description="print JSON")


def test_an_alias_has_our_prefix_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have a variable JSON, too."""
    monkeypatch.setenv("JSON", "yes please")
    assert load(Told, [], "overlaycast told").json_output is False
    assert load(Told, ["--json"], "overlaycast told").json_output is True
    monkeypatch.setenv("OVERLAYCAST_JSON", "true")
    assert load(Told, [], "overlaycast told").json_output is True


class Several(Settings):
    """A command with an optional second word."""

    group: CliPositionalArg[str] = Field(description="the group")
    file: CliPositionalArg[str] = Field("-", description="the file")
    token: str = Field("", max_length=8, description="the token")
    rate: float = Field(8.0, description="Mbit/s")
    quiet: bool = Field(False, description="say nothing")


@pytest.mark.parametrize(
    "argv",
    [
        "g f --token t --rate 2",
        "g --token t f --rate 2",
        "g --token t --rate 2 f",
        "--token t g --rate=2 f",
        "--token t --rate 2 g f",
        "--token t --rate 2 g -- f",
        "--token t g --rate 2 --no-quiet f",
    ],
)
def test_options_and_words_come_in_any_order(argv: str) -> None:
    found = load(Several, argv.split(), "overlaycast several")
    assert (found.group, found.file, found.token, found.rate) == ("g", "f", "t", 2.0)


@pytest.mark.parametrize("token", ["-abc", "--abc", "-", "-1", "-=x"])
def test_a_value_may_begin_with_a_dash(token: str) -> None:
    assert load(Several, ["g", "--token", token, "f"], "overlaycast several").token == token
    assert load(Several, ["--token", token, "g"], "overlaycast several").file == "-"


@pytest.mark.parametrize("argv", ["g --token", "g --token --rate 2", "g --token --rate=2", "g --token -- f"])
def test_an_option_is_not_taken_for_a_value(argv: str) -> None:
    with pytest.raises(ConfigError, match="argument --token: expected one argument"):
        load(Several, argv.split(), "overlaycast several")


@pytest.mark.parametrize("words", [["--token", "very-secret"], ["--tokn=very-secret"], ["--token=very-secret"]])
def test_a_wrong_token_is_not_repeated(words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Several, ["g", *words], "overlaycast several")
    assert "secret" not in str(caught.value)


class Lists(Settings):
    """A sample command with lists."""

    files: CliPositionalArg[list[Path]] = Field([], description="files")
    proxy: list[str] = Field([], description="proxies")


@pytest.mark.parametrize("word", ["a,b", "[1].yaml", "{a}", 'x"y', "[a", " a", "null", "1.0", "\\x", '"a"'])
def test_each_word_of_a_list_is_taken_as_it_is(word: str) -> None:
    found = load(Lists, [word, "--proxy", word, "c", f"--proxy={word}"], "overlaycast sample")
    assert (found.files, found.proxy) == ([Path(word), Path("c")], [word, word])


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERLAYCAST_PROXY", '["a", "b"]')
    assert load(Lists, [], "overlaycast sample").proxy == ["a", "b"]
    assert load(Lists, ["--proxy", "c"], "overlaycast sample").proxy == ["c"]
    monkeypatch.setenv("OVERLAYCAST_PROXY", "a")
    with pytest.raises(ConfigError, match=r"^overlaycast sample: proxy: accepted in the environment is a JSON list"):
        load(Lists, [], "overlaycast sample")
