"""Completion scripts for bash, zsh and fish, from the tree of commands.

All three walk the words before the cursor: a word is a command, an option (perhaps with a value), or an argument, and
what may follow is looked up by command and number of arguments. They call no program, so completing costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from agent.cli.completion import Command, Values

FILES: Final = "files"
NOTHING: Final = "nothing"

BASH: Final = """\
# Completion of wallbox-agent for bash 4.2 or newer; printed by `wallbox-agent completion bash`.
_wallbox_agent_step() {{
    if [[ -n $wanted ]]; then wanted=; return; fi
    case "$command|$1" in
{steps}
        *'|-'*) ;;
        *) count=$((count + 1)) ;;
    esac
}}

_wallbox_agent() {{
    local IFS=$' \\t\\n' current=${{COMP_WORDS[COMP_CWORD]}} command= count=0 wanted= offer= index word
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${{COMP_WORDS[index]}} != '=' ]]; then _wallbox_agent_step "${{COMP_WORDS[index]}}"; fi
    done
    if [[ $current == '=' ]]; then current=; fi
    if [[ -n $wanted ]]; then
        offer=$wanted
    elif [[ $current == -* ]]; then
        case "$command" in
{options}
        esac
    else
        case "$command|$count" in
{places}
        esac
    fi
    COMPREPLY=()
    if [[ $offer == {files} ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    elif [[ $offer != {nothing} ]]; then
        for word in $offer; do
            if [[ ${{word,,}} == "${{current,,}}"* ]]; then COMPREPLY+=("$word"); fi
        done
    fi
}}

complete -F _wallbox_agent wallbox-agent
"""

ZSH: Final = """\
#compdef wallbox-agent
# Completion of wallbox-agent for zsh; printed by `wallbox-agent completion zsh`.
_wallbox_agent_step() {{
    if [[ -n $wanted ]]; then wanted=; return; fi
    case "$command|$1" in
{steps}
        *'|-'*) ;;
        *) count=$((count + 1)) ;;
    esac
}}

_wallbox_agent() {{
    local command= wanted= offer= index count=0
    local -a found
    for ((index = 2; index < CURRENT; index++)); do _wallbox_agent_step "${{words[index]}}"; done
    if [[ -z $wanted && ${{words[CURRENT]}} == --*=* ]]; then
        _wallbox_agent_step "${{words[CURRENT]%%=*}}"
        compset -P '*='
    fi
    if [[ -n $wanted ]]; then
        offer=$wanted
    elif [[ ${{words[CURRENT]}} == -* ]]; then
        case "$command" in
{options}
        esac
        _describe -o option found
        return
    else
        case "$command|$count" in
{commands}
        esac
        if (( ${{#found}} )); then _describe command found; return; fi
        case "$command|$count" in
{places}
        esac
    fi
    case "$offer" in
        {files}) _files ;;
        {nothing}|'') return 1 ;;
        *) compadd -M 'm:{{a-zA-Z}}={{A-Za-z}}' -- ${{=offer}} ;;
    esac
}}

if [[ ${{funcstack[1]}} == _wallbox_agent ]]; then _wallbox_agent "$@"; else compdef _wallbox_agent wallbox-agent; fi
"""

FISH: Final = """\
# Completion of wallbox-agent for fish; printed by `wallbox-agent completion fish`.
function __wallbox_agent_at
    set -l command ''
    set -l wanted ''
    set -l count 0
    set -l before (commandline -opc)
    for word in $before[2..]
        if test -n "$wanted"
            set wanted ''
            continue
        end
        switch "$command|$word"
{steps}
            case '*|-*'
            case '*'
                set count (math $count + 1)
        end
    end
    string match -q -- $argv[1] "$command|$count"
end

complete -c wallbox-agent -f
{completions}
"""


def bash(commands: Sequence[Command]) -> str:
    """Return the script for bash; it needs nothing of the package bash-completion."""
    options = (f"'{c.name}') offer='{_joined(_option_names(c))}' ;;" for c in commands)
    places = (f"{pattern}) offer='{offer}' ;;" for c in commands for pattern, offer in _places(c))
    return BASH.format(
        steps=_indented(_steps(commands), 8),
        options=_indented(options, 12),
        places=_indented(places, 12),
        files=FILES,
        nothing=NOTHING,
    )


def zsh(commands: Sequence[Command]) -> str:
    """Return the script for zsh, which shows the purpose of commands and options too."""
    options = (f"'{c.name}') found=({_joined(_described_options(c))}) ;;" for c in commands)
    below = (
        f"'{c.name}|0') found=({_joined(_quoted(f'{name}:{purpose}') for name, purpose in c.commands)}) ;;"
        for c in commands
        if c.commands
    )
    places = (f"{pattern}) offer='{offer}' ;;" for c in commands if not c.commands for pattern, offer in _places(c))
    return ZSH.format(
        steps=_indented(_steps(commands), 8),
        options=_indented(options, 12),
        commands=_indented(below, 12),
        places=_indented(places, 12),
        files=FILES,
        nothing=NOTHING,
    )


def fish(commands: Sequence[Command]) -> str:
    """Return the script for fish, which shows the purpose of commands and options too."""
    steps = [line for c in commands for line in _fish_steps(c)]
    return FISH.format(
        steps=_indented(steps, 12), completions="\n".join(line for c in commands for line in _fish_completions(c))
    )


def _steps(commands: Sequence[Command]) -> Iterator[str]:
    """Yield the branches that take a word: to a command below, or an option that wants a value."""
    for command in commands:
        for name, _ in command.commands:
            yield f"'{command.name}|{name}') command='{_joined((*command.path, name))}' ;;"
        for option in command.options:
            if option.values is not None:
                patterns = "|".join(f"'{command.name}|{name}'" for name in option.names)
                yield f"{patterns}) wanted='{_offer(option.values)}' ;;"


def _places(command: Command) -> Iterator[tuple[str, str]]:
    """Yield a pattern of command and number of arguments, and what is offered there."""
    if command.commands:
        yield f"'{command.name}|0'", _joined(name for name, _ in command.commands)
    for number, values in enumerate(command.arguments):
        repeated = command.endless and number == len(command.arguments) - 1
        yield f"'{command.name}|'*" if repeated else f"'{command.name}|{number}'", _offer(values)


def _fish_steps(command: Command) -> Iterator[str]:
    for name, _ in command.commands:
        yield f"case '{command.name}|{name}'"
        yield f"    set command '{_joined((*command.path, name))}'"
    wanting = [f"'{command.name}|{name}'" for o in command.options if o.values is not None for name in o.names]
    if wanting:
        yield f"case {_joined(wanting)}"
        yield "    set wanted yes"


def _fish_completions(command: Command) -> Iterator[str]:
    for name, purpose in command.commands:
        yield f"{_fish_at(command, '0')} -a {name} -d {_quoted(purpose, fish=True)}"
    for number, values in enumerate(command.arguments):
        repeated = command.endless and number == len(command.arguments) - 1
        yield f"{_fish_at(command, '*' if repeated else str(number))}{_fish_values(values)}"
    for option in command.options:
        names = _joined(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
        takes = "" if option.values is None else _fish_takes(option.values)
        yield f"{_fish_at(command, '*')} {names}{takes} -d {_quoted(option.purpose, fish=True)}"


def _fish_at(command: Command, number: str) -> str:
    return f"""complete -c wallbox-agent -n "__wallbox_agent_at '{command.name}|{number}'\""""


def _fish_values(values: Values) -> str:
    if values.files:
        return " -F"
    return f" -a '{_joined(values.words)}'" if values.words else ""


def _fish_takes(values: Values) -> str:
    return f"{' -r' if values.files else ' -x'}{_fish_values(values)}"


def _offer(values: Values) -> str:
    return FILES if values.files else _joined(values.words) or NOTHING


def _option_names(command: Command) -> Iterator[str]:
    for option in command.options:
        yield from (name for name in option.names if name.startswith("--"))


def _described_options(command: Command) -> Iterator[str]:
    for option in command.options:
        yield from (_quoted(f"{name}:{option.purpose}") for name in option.names if name.startswith("--"))


def _quoted(text: str, *, fish: bool = False) -> str:
    """Return a text in single quotes, as the shell writes a single quote in them."""
    if fish:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + text.replace("'", "'\\''") + "'"


def _joined(words: Sequence[str] | Iterator[str]) -> str:
    return " ".join(words)


def _indented(lines: Sequence[str] | Iterator[str], width: int) -> str:
    return "\n".join(" " * width + line for line in lines)
