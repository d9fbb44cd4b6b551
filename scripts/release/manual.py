"""Man pages: one for the program, and one for each of its commands; commands of a command are sections of its page.

Owns: the form of a page (``man(7)``). Refuses: to say anything of an option that its model does not say.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from overlaycast import __version__
from scripts.release.commands import Described, Option

CODES: Final = (
    ("0", "success; a coordinator or a member that was told to go, by Ctrl-C or SIGTERM"),
    ("1", "it failed: records were lost, a file is incomplete, or the output could not be written"),
    ("2", "bad input or settings, or the coordinator refused the member"),
    ("3", "this machine lacks something that the command needs"),
    ("130, 143", "it was ended by Ctrl-C (130) or by SIGTERM (143) before it was admitted"),
)
ENVIRONMENT: Final = (
    "Each option is also a variable, such as OVERLAYCAST_RING_MB for --ring-mb. A flag counts before a variable, and a"
    " variable before the file that --config names."
)
FILES: Final = {
    "coordinator": (("/etc/overlaycast/coordinator.toml", "settings of the systemd unit, in the table [coordinator]"),
                    ("/var/lib/overlaycast", "state of the systemd unit: admin token, groups and the Unix socket")),
    "member": (("/etc/overlaycast/GROUP.toml", "settings of the systemd unit of a group, in the table of the command"),
               ("/etc/overlaycast/GROUP.token", "join token of a group, for systemd units; readable by root only")),
}  # fmt: skip


def pages(program: Described, seconds: int) -> dict[str, str]:
    """Return the pages by file name.

    Args:
        seconds: the time that they state.
    """
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    found = {}
    for command in (program, *program.commands):
        name = "-".join(command.words)
        found[f"{name}.1"] = "\n".join([_title(name, date), *_page(command, program)]) + "\n"
    return found


def _title(name: str, date: str) -> str:
    return f'.TH {_plain(name.upper())} 1 "{date}" "overlaycast {__version__}" "overlaycast"'


def _page(command: Described, program: Described) -> Iterator[str]:
    yield from (".SH NAME", rf"{_plain('-'.join(command.words))} \- {_plain(command.about)}")
    yield ".SH SYNOPSIS"
    for one in command.all() if command is not program else (command,):
        if not one.commands or one is program:
            yield from _synopsis(one)
    if command.text:
        yield from (".SH DESCRIPTION", _plain(command.text))
    if command is program:
        yield ".SH COMMANDS"
        for one in program.commands:
            yield from (".TP", rf"\fB{_plain('-'.join(one.words))}\fR(1)", _plain(one.about))
    elif command.commands:
        yield ".SH COMMANDS"
        for one in command.commands:
            yield from (f".SS {_plain(' '.join(one.words))}", _plain(one.text), *_options(one))
    else:
        yield from (".SH OPTIONS", *_options(command))
    yield from _ending(command, program)


def _synopsis(command: Described) -> Iterator[str]:
    words = rf"\fB{_plain(' '.join(command.words))}\fR"
    if command.commands:
        words += r" \fICOMMAND\fR [options]"
    if any(option.flags for option in command.options):
        words += " [options]"
    for option in command.options:
        if not option.flags:
            word = rf"\fI{_plain(option.value or '')}\fR" + (" ..." if option.repeated else "")
            words += f" {word}" if option.required else f" [{word}]"
    yield from (".PP", words)


def _options(command: Described) -> Iterator[str]:
    for option in command.options:
        yield from (".TP", _heading(option), _plain(option.about or "an option"))


def _heading(option: Option) -> str:
    value = rf" \fI{_plain(option.value)}\fR" if option.value else ""
    if not option.flags:
        return value.strip()
    return ", ".join(rf"\fB{_plain(flag)}\fR" for flag in option.flags) + value


def _ending(command: Described, program: Described) -> Iterator[str]:
    if command is not program:
        yield ".SH ENVIRONMENT"
        yield _plain(ENVIRONMENT)
    role = command.words[-1]
    kind = "member" if role in ("send", "join", "relay") else role
    if kind in FILES:
        yield ".SH FILES"
        for path, about in FILES[kind]:
            yield from (".TP", rf"\fI{_plain(path)}\fR", _plain(about))
    yield ".SH EXIT STATUS"
    for code, about in CODES:
        yield from (".TP", rf"\fB{code}\fR", _plain(about))
    yield ".SH SEE ALSO"
    others = [one for one in (program, *program.commands) if one is not command]
    yield ",\n".join(rf"\fB{_plain('-'.join(one.words))}\fR(1)" for one in others)


def _plain(text: str) -> str:
    """Return text of which nothing is taken for an instruction."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace("…", "...").replace("^", r"\(ha").replace("~", r"\(ti")
    return rf"\&{text}" if text.startswith(".") else text
