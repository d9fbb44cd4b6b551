"""Every option is declared once, as a field of a frozen model; this turns a model into a command's options.

Owns: where a value comes from (defaults < TOML file < ``OVERLAYCAST_*`` < flags) and how a wrong one is reported: one
line that names the source, the field and what is accepted. Refuses: unknown flags, and unknown keys of the TOML file.

A TOML file has one table per command, so that one file can serve a whole host::

    [join]
    coordinator = "http://server:8470"
"""

from __future__ import annotations

import argparse
import inspect
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NoReturn, TypeAlias, TypeVar, cast, get_args

from pydantic import AfterValidator, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from overlaycast.errors import ConfigError
from overlaycast.named_files import read_small
from overlaycast.streams import printable
from overlaycast.tokens import shown

_S = TypeVar("_S", bound="Settings")

A_NAME: Final = "accepted is the name of a file or folder"


class Settings(BaseSettings):
    """Base of every command's settings. The docstring of a subclass is the text above its ``--help``."""

    alternatives: ClassVar[frozenset[str]] = frozenset()
    """Fields that say the same in different ways: the strongest source that has one of them decides."""

    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        frozen=True,
        extra="forbid",
        env_prefix="OVERLAYCAST_",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_empty_name(cls, value: Any, info: ValidationInfo) -> Any:
        """An unset variable of a shell is an empty word; as a path it would mean the current folder."""
        words = value if isinstance(value, list) else [value]
        if "" in words and _takes_path(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError(A_NAME)
        return value


def _takes_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_takes_path, get_args(annotation)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen; an empty host means all addresses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_PORT: Final = re.compile(r"[0-9]{1,5}")
ENDPOINT: Final = "accepted is HOST:PORT or [IPV6]:PORT with a port from 0 to 65535"


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint that ``HOST:PORT`` or ``[IPV6]:PORT`` names; port 0 is any free one.

    Raises:
        ValueError: neither of those.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(ENDPOINT)
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(ENDPOINT)
    return Endpoint(host, int(port))


def _endpoint_text(text: str) -> str:
    parse_endpoint(text)
    return text


EndpointText: TypeAlias = Annotated[str, AfterValidator(_endpoint_text)]
"""An option that ``parse_endpoint`` can read."""


class _Weaker(PydanticBaseSettingsSource):
    """A source below others: what they have said in one way, it does not say in another."""

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()  # type: ignore[safe-super]  # the other base has it
        alternatives = cast(type[Settings], self.settings_cls).alternatives
        if alternatives.isdisjoint(self.current_state):
            return found
        return {name: value for name, value in found.items() if name not in alternatives}


class _File(_Weaker, InitSettingsSource):
    """A table of the TOML file."""


class _Environment(_Weaker, EnvSettingsSource):
    """The environment, but nothing without our prefix: a field with an alias (``json``) would be read from ``JSON``."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        prefix = self.env_prefix.lower()
        ours = {name: value for name, value in self.env_vars.items() if name.startswith(prefix)}
        self.env_vars = ours | {name.removeprefix(prefix): value for name, value in ours.items()}


_METAVARS: Final = {
    "str": "TEXT",
    "Path": "PATH",
    "float": "NUMBER",
    "int": "NUMBER",
    "list[str]": "TEXT",
    "list[Path]": "PATH",
    "Segment": "TEXT",
}
# what pydantic-settings writes behind a description, and what a reader gains nothing from
_NOISE: Final = re.compile(r"\s*\(default(: |: None| factory: [^)]*|: \[\])\)$")


_FIELD: Final = re.compile(r'(?<=field ")\w+(?=")')
_UNKNOWN: Final = "unrecognized arguments: "
_OPTION: Final = re.compile(r"--?[a-z][a-z0-9-]{0,23}")
_VALUE: Final = re.compile(r"(?<!\S)(--[\w-]+)=\S*")


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag is a ``ConfigError`` in one line, and help says only what helps.

    Attributes:
        lists: the options and positionals that take several words, as they were given.
    """

    lists: dict[str, list[str]]

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        if isinstance(options.get("metavar"), str):
            options["metavar"] = _METAVARS.get(options["metavar"], options["metavar"])
        if isinstance(options.get("help"), str):
            options["help"] = _NOISE.sub("", options["help"])
        return super().add_argument(*names, **options)

    def parse_words(self, words: list[str]) -> argparse.Namespace:
        """Parse options and positionals in any order.

        pydantic-settings would take each word of a list for JSON, or for several: a file may be called ``a,b``.
        """
        found = self.parse_intermixed_args(list(self._joined(words)))
        self.lists = {name: value for name, value in vars(found).items() if isinstance(value, list) and value}
        for name in self.lists:
            setattr(found, name, None)
        return found

    def _joined(self, words: list[str]) -> Iterator[str]:
        """Join a value that begins with a dash to its option: argparse would take it for an option, too."""
        rest = iter(words)
        for word in rest:
            if word == "--":
                yield word
                break
            action = self._option_string_actions.get(word)
            if action is None or action.nargs is not None or not word.startswith("--"):
                yield word
                continue
            value = next(rest, None)
            if value is None:
                yield word
            elif value.startswith("-") and not self._names_option(value):
                yield f"{word}={value}"
            else:
                yield from (word, value)
        yield from rest

    def _names_option(self, word: str) -> bool:
        return word == "--" or word.partition("=")[0] in self._option_string_actions

    def error(self, message: str) -> NoReturn:
        said, unknown, words = message.partition(_UNKNOWN)
        text = f"{unknown}{_named(words)}" if unknown and not said else shown(_VALUE.sub(r"\1", message))
        raise ConfigError(f"{self.prog}: {text}; see '{self.prog} --help'")


def _named(words: str) -> str:
    """Return words that no option takes: a mistyped option's name, and not what follows, which may be a token."""
    named: list[str] = []
    after_option = False
    for word in words.split(" "):
        name = word.partition("=")[0]
        if _OPTION.fullmatch(name):
            after_option = True
            named.append(name)
        else:
            named.append("…" if after_option or word.startswith("-") else shown(word))
    return " ".join(named)


def load(model: type[_S], argv: list[str], prog: str, table: str | None = None) -> _S:
    """Return the settings of one command.

    Args:
        model: what to fill.
        argv: the flags after the command's name; ``--config FILE`` is understood here.
        prog: how the command is called, for usage and errors ("overlaycast join").
        table: the TOML table that belongs to this command; by default the last word of ``prog``.

    Raises:
        ConfigError: anything unknown, missing or out of bounds.
        SystemExit: after ``--help``.
    """
    about = inspect.cleandoc(model.__doc__ or "")
    parser = _Parser(prog=prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file with a table for this command")
    path, rest = _config_flag(argv, prog)
    file_values = _toml_table(path, table or prog.split()[-1]) if path else {}
    try:
        flags: CliSettingsSource[Any] = CliSettingsSource(
            model,
            root_parser=parser,
            cli_parse_args=rest,
            add_argument_method=_Parser.add_argument,
            parse_args_method=_Parser.parse_words,
        )
        return _from_sources(model, parser.lists, flags, file_values)
    except ValidationError as error:
        raise ConfigError(f"{prog}: {one_line(error)}") from None
    except SettingsError as error:  # only lists are JSON, and these are in the environment
        name = _FIELD.findall(str(error))
        wanted = 'accepted in the environment is a JSON list, as in ["a", "b"]'
        raise ConfigError(f"{prog}: {': '.join([*name, wanted]).replace('_', '-')}") from None


def _from_sources(
    model: type[_S], lists: dict[str, list[str]], flags: CliSettingsSource[Any], file_values: dict[str, Any]
) -> _S:
    class Sourced(model):  # type: ignore[valid-type,misc]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], **_: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            given = InitSettingsSource(settings_cls, lists)
            return given, flags, _Environment(settings_cls), _File(settings_cls, file_values)

    values = dict(Sourced())
    return cast(_S, model.model_construct(**values))


def one_line(error: ValidationError) -> str:
    """Return the first complaint of a validation error as ``field: what is wrong``."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]).replace("_", "-")
    if first["type"] == "extra_forbidden":
        return f"{field}: unknown setting"
    if first["type"] == "missing":
        return f"{field}: required"
    # pydantic puts these words before what our own validators say
    wrong = f"{field}: {first['msg'].removeprefix('Value error, ')}"
    given = shown(repr(first["input"]))
    # without a field, what was given is all there is, tokens among it
    return wrong if field in ("token", "") else f"{wrong} (got {given:.80})"


def _config_flag(argv: list[str], prog: str) -> tuple[Path | None, list[str]]:
    finder = _Parser(prog=prog, add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    found, rest = finder.parse_known_args(argv)
    return found.config, rest


def _toml_table(path: Path, table: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(read_small(path))
    except OSError as error:
        raise ConfigError(f"config: {shown(str(path))}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"config: {shown(str(path))}: not TOML: too deep") from None
    except ValueError as error:  # also a number that is longer than Python reads, and what is no UTF-8
        raise ConfigError(f"config: {shown(str(path))}: not TOML: {printable(str(error))}") from None
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise ConfigError(f"config: {shown(str(path))}: {table}: accepted is a table, [{table}]")
    return {key.replace("-", "_"): value for key, value in values.items()}
