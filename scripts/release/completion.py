"""What the shell offers while a command of overlaycast is typed, for bash and for zsh.

Owns: the form. Refuses: to know any command or option that ``commands`` does not find.
"""

from __future__ import annotations

from collections.abc import Iterable

from scripts.release.commands import Described, Option

_BASH = """\
# bash completion for overlaycast, generated from its options
_overlaycast() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path=overlaycast words= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path ${{COMP_WORDS[i]}}" in
            {paths}) path+=" ${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$path $prev" in
{values}
    esac
    case $path in
{words}
    esac
    if [[ -z $words || ( $cur != -* && $path == *" "* && $words == -* ) ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}}
complete -F _overlaycast overlaycast
"""


def bash(program: Described) -> str:
    """Return the completion of bash."""
    every = list(program.all())
    values, words = [], []
    for command in every:
        name = " ".join(command.words)
        options = [option for option in command.options if option.flags]
        for option in options:
            if option.value is not None:
                label = "|".join(f'"{name} {flag}"' for flag in option.flags)
                values.append(f"        {label}) {_bash_value(option)}; return ;;")
        offered = [one.words[-1] for one in command.commands] or _flags(options)
        words.append(f'        "{name}") words="{" ".join(offered)}" ;;')
    paths = " | ".join(f'"{" ".join(command.words)}"' for command in every[1:])
    return _BASH.format(paths=paths, values="\n".join(values), words="\n".join(words))


def _flags(options: Iterable[Option]) -> list[str]:
    return [*(flag for option in options for flag in option.flags), "--help"]


def _bash_value(option: Option) -> str:
    if option.choices:
        return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(option.choices)}" -- "$cur")'
    if option.is_path:
        return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
    return ":"


def zsh(program: Described) -> str:
    """Return the completion of zsh."""
    lines = ["#compdef overlaycast", "# generated from the options of overlaycast", ""]
    for command in program.all():
        name = "_".join(command.words).replace("-", "_")
        lines += [f"_{name}() {{", *(_zsh_commands(command) if command.commands else _zsh_options(command)), "}", ""]
    return "\n".join([*lines, '_overlaycast "$@"', ""])


def _zsh_commands(command: Described) -> list[str]:
    rows = [f"    {_quoted(f'{one.words[-1]}:{one.about}')}" for one in command.commands]
    name = "_".join(command.words)
    return [
        "  local -a commands",
        "  commands=(",
        *rows,
        "  )",
        "  if (( CURRENT == 2 )); then",
        "    _describe command commands",
        "  else",
        f"    local below=_{name}_${{words[2]}}",
        "    shift words",
        "    (( CURRENT-- ))",
        "    (( $+functions[$below] )) && $below",
        "  fi",
    ]


def _zsh_options(command: Described) -> list[str]:
    rows = []
    for option in command.options:
        about = option.about.replace("\\", "\\\\").replace("[", "(").replace("]", ")").replace(":", "\\:")
        what = f"({' '.join(option.choices)})" if option.choices else "_files" if option.is_path else ""
        if not option.flags:
            rows.append(_quoted(f"{'*' if option.repeated else ''}:{about}:{what}"))
        for flag in option.flags:
            behind = "" if option.value is None else f":{option.value if not option.choices else 'value'}:{what}"
            rows.append(_quoted(f"{flag}[{about}]{behind}"))
    rows.append(_quoted("--help[list the options]"))
    return ["  _arguments \\", " \\\n".join(f"    {row}" for row in rows)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
