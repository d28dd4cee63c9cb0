"""Scripts that complete the words of the command `sxq` in bash and zsh, made from its argument parsers.

completion("bash", parsers)     the script; `parsers` by command, "" for `sxq` without one
"""

import re
from argparse import Action, ArgumentParser
from collections.abc import Iterator, Mapping

FILES = ("FILE", "FROM", "TO", "database")  # metavars of arguments that are files
FOLDERS = ("DIR",)
SHELLS = ("bash", "zsh")


def completion(shell: str, parsers: Mapping[str, ArgumentParser]) -> str:
    """The script for one of SHELLS, to be read by it: eval "$(sxq completion bash)"."""
    return {"bash": _bash, "zsh": _zsh}[shell](parsers)


def takes(action: Action) -> str:
    """What the value of an argument is: words, files, folders, text or nothing."""
    if action.nargs == 0:
        return "nothing"
    if action.choices:
        return "words"
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    return "files" if name in FILES else "folders" if name in FOLDERS else "text"


def _options(parser: ArgumentParser) -> list[Action]:
    return [action for action in parser._actions if action.option_strings]


def _places(parser: ArgumentParser) -> list[Action]:
    return [action for action in parser._actions if not action.option_strings]


def _words(action: Action) -> str:
    return " ".join(map(str, action.choices or ()))


# -- bash ------------------------------------------------------------------------------------------

_BASH = """# Completes sxq in bash. In ~/.bashrc: eval "$(sxq completion bash)"
_sxq_words() {{
    local IFS=' '
    compgen -W "$1" -- "$2"
}}
_sxq() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    local command="" options="" words="" files="" IFS=$'\\n'
    if [ "$COMP_CWORD" -gt 1 ]; then
        case "${{COMP_WORDS[1]}}" in
            {commands}) command="${{COMP_WORDS[1]}}" ;;
        esac
    fi
    case "$command $previous" in
{values}
    esac
    case "$command" in
{places}
    esac
    if [[ "$current" == -* ]]; then
        COMPREPLY=($(_sxq_words "$options" "$current"))
    else
        COMPREPLY=($(_sxq_words "$words" "$current"; [ -z "$files" ] || compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _sxq sxq
"""


def _bash(parsers: Mapping[str, ArgumentParser]) -> str:
    commands = [name for name in parsers if name]
    values = (line for name, parser in parsers.items() for line in _bash_values(name, parser))
    places = (
        _bash_places(name, parser, [] if name else commands) for name, parser in parsers.items()
    )
    return _BASH.format(
        commands="|".join(commands), values="\n".join(values), places="\n".join(places)
    )


def _bash_values(command: str, parser: ArgumentParser) -> Iterator[str]:
    """A case for each option that takes a value: what may follow it."""
    made = {"files": "compgen -f --", "folders": "compgen -d --"}
    for action in _options(parser):
        kind = takes(action)
        if kind != "nothing":
            given = "|".join(f'"{command} {option}"' for option in action.option_strings)
            found = f'_sxq_words "{_words(action)}"' if kind == "words" else made.get(kind)
            reply = f'COMPREPLY=($({found} "$current"))' if found else "COMPREPLY=()"
            yield f"        {given}) {reply}; return ;;"


def _bash_places(command: str, parser: ArgumentParser, commands: list[str]) -> str:
    """The options and words of a command, and whether it takes files."""
    options = [option for action in _options(parser) for option in action.option_strings]
    words = [word for action in _places(parser) for word in _words(action).split()] + commands
    files = "yes" if any(takes(action) == "files" for action in _places(parser)) else ""
    once = '[ "$COMP_CWORD" -gt 1 ] || ' if commands else ""  # a command is the first word
    return (
        f'        "{command}") options="{" ".join(options)}"; files="{files}"; '
        f'{once}words="{" ".join(words)}" ;;'
    )


# -- zsh -------------------------------------------------------------------------------------------

_ZSH = """#compdef sxq
# Completes sxq in zsh. In ~/.zshrc, after compinit: eval "$(sxq completion zsh)"
_sxq_first() {{
    local -a commands
    commands=(
{commands}
    )
    _describe command commands
    _files
}}
_sxq() {{
    local command=""
    (( CURRENT > 2 )) && command=$words[2]
    case $command in
{cases}
    esac
}}
if [ "$funcstack[1]" = "_sxq" ]; then _sxq "$@"; else compdef _sxq sxq; fi
"""


def _zsh(parsers: Mapping[str, ArgumentParser]) -> str:
    commands = "\n".join(
        f"        {_single(f'{name}:{parser.description}')}"
        for name, parser in parsers.items()
        if name
    )
    named = [_zsh_case(name, parser) for name, parser in parsers.items() if name]
    return _ZSH.format(commands=commands, cases="\n".join([*named, _zsh_case("", parsers[""])]))


def _zsh_case(command: str, parser: ArgumentParser) -> str:
    specs = [_single(spec) for action in _options(parser) for spec in _zsh_option(action)]
    if command:
        specs += [_single(_zsh_place(action)) for action in _places(parser)]
        start = "shift words; (( CURRENT-- )); "
    else:
        specs += ["'1: :_sxq_first'"]
        start = ""
    arguments = " \\\n            ".join(["_arguments", *specs])
    return f"        {command or '*'})\n            {start}{arguments} ;;"


def _zsh_option(action: Action) -> Iterator[str]:
    """The specification of an option for `_arguments`, one for each of its spellings."""
    often = "*" if type(action).__name__ == "_AppendAction" else ""
    for option in action.option_strings:
        said = re.sub(r"([\[\]:\\])", r"\\\1", action.help or "")
        yield f"{often}{option}[{said}]{_zsh_value(action)}"


def _zsh_place(action: Action) -> str:
    return (
        f"{':' if action.nargs == '?' else ''}:{action.metavar or action.dest}{_zsh_after(action)}"
    )


def _zsh_value(action: Action) -> str:
    if takes(action) == "nothing":
        return ""
    return f":{action.metavar or action.dest}{_zsh_after(action)}"


def _zsh_after(action: Action) -> str:
    kind = takes(action)
    known = {"files": ":_files", "folders": ":_files -/", "text": ": "}
    return f":({_words(action)})" if kind == "words" else known[kind]


def _single(text: str) -> str:
    """Text in single quotes of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
