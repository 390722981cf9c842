"""The settings of a repository for a command: defaults of options, and findings to ignore.

A file that is found belongs to whoever wrote the repository, who may not be who runs nptables. So
only what is named in SETTABLE can be set, by a file that is found as by one that is named: nothing
that applies rules, asks a cluster or a node, writes a file or starts a program. The commands that
do such things do not read settings at all (`settings_options` marks those that do), and files that
a found file names are inside its folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nptables.cli.completion import FILE
from nptables.cli.output import say
from nptables.errors import InvalidInput, Problem
from nptables.errors import Path as Field
from nptables.model.reading import nearest, quoted
from nptables.sources.settings_file import SettingsFile, find_settings, read_settings

if TYPE_CHECKING:
    from nptables.checks.silencing import IgnoreRule

Command = TypeVar("Command", bound=Callable[..., Any])

# Options by their long names. Of these the files are read, never written.
_FILES = ("baseline", "config", "facts")
SETTABLE = (
    *_FILES, "docs-url", "exclude", "kube-proxy-version", "lenient", "no-preview", "no-render",
    "node", "node-address", "node-port-range", "select", "service-cidr", "severity",
)  # fmt: skip
_IGNORE = "ignore"
_RULES = "nptables.ignore-rules"
_RULE_KEYS = ("code", "reason", "service")


def settings_options(command: Command) -> Command:
    """`--settings` and `--no-settings`, and the defaults that settings give the other options."""
    command = click.option(
        "--no-settings",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_without,
        help="Do not read .nptables.yaml, or [tool.nptables] in pyproject.toml.",
    )(command)
    return click.option(
        "--settings",
        type=FILE,
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_with,
        help="Use these settings instead of those in the working directory or a folder above it.",
    )(command)


def ignore_rules() -> tuple[IgnoreRule, ...]:
    """The findings that the settings of this command say to ignore."""
    found: tuple[IgnoreRule, ...] = click.get_current_context().meta.get(_RULES, ())
    return found


_NAMED = "nptables.settings-named"
_OFF = "nptables.no-settings"


def _with(context: click.Context, option: click.Parameter, value: str | None) -> None:  # noqa: ARG001
    context.meta[_NAMED] = value
    _apply(context)


def _without(context: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
    context.meta[_OFF] = value
    _apply(context)


def _apply(context: click.Context) -> None:
    """Once both options are known: read the file, and make its values defaults."""
    if _NAMED not in context.meta or _OFF not in context.meta or context.resilient_parsing:
        return
    named = context.meta[_NAMED]
    if context.meta[_OFF]:
        if named is not None:
            raise click.UsageError("--settings and --no-settings cannot be used together")
        return
    file = find_settings(os.getcwd()) if named is None else read_settings(named or os.curdir)
    if file is not None:
        context.default_map, context.meta[_RULES] = _judged(file, context)
        if context.default_map or context.meta[_RULES]:
            say(f"settings are read from {file.name} (--no-settings ignores them)")


def _judged(
    file: SettingsFile, context: click.Context
) -> tuple[dict[str, Any], tuple[IgnoreRule, ...]]:
    """The defaults by parameter, and the rules. Raises InvalidInput with all that is wrong."""
    problems: list[Problem] = []
    options = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        for name in parameter.opts
    }
    defaults: dict[str, Any] = {}
    for key, value in file.values.items():
        if key == _IGNORE:
            continue
        problem = _refused(file, key)
        parameter = options.get(key)
        if problem is None:
            problem, value = _value(file, key, value)  # noqa: PLW2901 - paths from its folder
        if problem is None and parameter is not None:
            problem = _misfit(file, key, parameter, value, context)
        if problem is not None:
            problems.append(problem)
        elif parameter is not None and parameter.name is not None:
            defaults[parameter.name] = value
    rules = tuple(_rules(file, problems)) if "ignore" in options else ()
    if problems:
        raise InvalidInput(problems)
    return defaults, rules


def _refused(file: SettingsFile, key: Any) -> Problem | None:
    if key in SETTABLE:
        return None
    known = (*SETTABLE, _IGNORE)
    if _is_an_option(key):
        hint = f"a file may set {', '.join(sorted(known))}"
        return file.problem((key,), "is set on the command line only", hint)
    shown = str(key)
    field: Field = (key,) if isinstance(key, str) else ()
    return file.problem(field, f"unknown setting {quoted(shown)}", nearest(shown, known))


def _is_an_option(key: Any) -> bool:
    """Whether some command has an option of that name."""
    from nptables.cli.app import COMMANDS, cli  # noqa: PLC0415 - only to tell what was meant

    context = click.Context(cli)
    commands = (cli.get_command(context, name) for name in COMMANDS)
    return any(
        f"--{key}" in parameter.opts
        for command in commands
        if command is not None
        for parameter in command.params
    )


def _value(file: SettingsFile, key: str, value: Any) -> tuple[Problem | None, Any]:
    """The value as an option takes it, with what is wrong with it."""
    if key not in _FILES:
        return None, value
    if not isinstance(value, str) or not value or value == "-":
        return file.problem((key,), "is not the name of a file"), value
    from pathlib import Path  # noqa: PLC0415 - few settings name files

    folder = Path(file.path).parent
    path = folder / value
    if file.found and not path.resolve().is_relative_to(folder.resolve()):
        hint = "--settings FILE may name any"
        text = "is outside of the folder of the settings"
        return file.problem((key,), text, hint), value
    return None, str(path)


def _misfit(
    file: SettingsFile, key: str, parameter: click.Parameter, value: Any, context: click.Context
) -> Problem | None:
    """What is wrong with a value for an option."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            return file.problem((key,), "is not true or false")
    elif parameter.multiple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return file.problem((key,), "is not a list of strings")
    elif not isinstance(value, str):
        return file.problem((key,), "is not a string", f'write it in quotes: {key}: "..."')
    try:
        parameter.process_value(context, value)
    except click.BadParameter as error:
        return file.problem((key,), error.message)
    return None


def _rules(file: SettingsFile, problems: list[Problem]) -> Iterator[IgnoreRule]:
    listed = file.values.get(_IGNORE, [])
    if not isinstance(listed, list):
        problems.append(file.problem((_IGNORE,), "is not a list of rules"))
        return
    from nptables.checks.silencing import IgnoreRule, exact_code  # noqa: PLC0415 - for these alone

    for position, raw in enumerate(listed):
        field = (_IGNORE, position)
        if not isinstance(raw, Mapping) or not all(isinstance(v, str) for v in raw.values()):
            hint = "it needs a code and a reason, and may have a service"
            problems.append(file.problem(field, "is not a rule", hint))
            continue
        wrong = list(_wrong_in_rule(file, raw, field))
        problems += wrong
        code = exact_code(raw.get("code", ""))
        if not wrong and code is not None:
            yield IgnoreRule(code.code, raw["reason"].strip(), file.name, raw.get("service", ""))


def _wrong_in_rule(file: SettingsFile, raw: Mapping[Any, str], field: Field) -> Iterator[Problem]:
    from nptables.checks.silencing import exact_code  # noqa: PLC0415

    for key in raw:
        if key not in _RULE_KEYS:
            hint = nearest(str(key), _RULE_KEYS)
            yield file.problem((*field, str(key)), "unknown field", hint)
    word = raw.get("code", "")
    if exact_code(word) is None:
        hint = "`nptables rule` lists them all"
        yield file.problem((*field, "code"), f"there is no code {quoted(word)}", hint)
    if not raw.get("reason", "").strip():
        yield file.problem((*field, "reason"), "is missing", "write why it is meant")
