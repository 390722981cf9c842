"""From what a command raises to what the user reads and the shell gets.

Exit codes: 0 done, nothing to report; 1 there is a difference, a finding, or the packet does
not arrive; 2 the input or the command line is wrong; 3 the kernel or the API server refused, and
that is so for standard output that takes no data; 4 busy, try again; 70 a bug of ours; 130
interrupted. A reader who stops early (`| head -1`) does not change the code.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib import metadata

import click

import nptables
from nptables.cli.app import cli
from nptables.cli.output import print_json
from nptables.cli.streams import OutputLost, guarded_streams
from nptables.errors import (
    InvalidInput,
    NptablesError,
    Problem,
    RuleSyntaxError,
    SaveSyntaxError,
    printable,
)
from nptables.signals import Signals

WRONG_INPUT = 2
REFUSED = 3
BUG = 70
INTERRUPTED = 130
_REPORTED = ("click", "kubernetes", "attrs", "PyYAML")


def run(arguments: Sequence[str], signals: Signals, program: str = "nptables") -> int:
    """Run one command and turn whatever it raises into words and an exit code.

    `signals` is for commands that are stopped by signals on purpose; `program` is how usage texts
    call us.
    """
    with guarded_streams():
        try:
            code = _answer(arguments, signals, program)
            sys.stdout.flush()
        except OutputLost as error:
            click.echo(f"error: standard output cannot be written: {error}", err=True)
            return REFUSED
        return code


def _answer(arguments: Sequence[str], signals: Signals, program: str) -> int:
    try:
        return _invoke(list(arguments), signals, program)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return WRONG_INPUT
    except InvalidInput as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        _print_problems(error.problems, arguments)
        return WRONG_INPUT
    except (SaveSyntaxError, RuleSyntaxError) as error:
        click.echo(f"error: {error}", err=True)
        return WRONG_INPUT
    except NptablesError as error:
        click.echo(f"error: {error}", err=True)
        return getattr(error, "exit_code", REFUSED)
    except OutputLost:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort that turns a bug into a report
        return _report_bug(error)


def _print_problems(problems: Sequence[Problem], arguments: Sequence[str]) -> None:
    """The problems in the format that was asked for, where it is one for programs."""
    text = f" {' '.join(arguments)} "
    asked = re.findall(r" (?:-o ?|--output[ =])(json|sarif|github)(?= )", text)
    if asked == []:
        return
    from nptables.checks import reports  # noqa: PLC0415 - only where something is wrong

    if asked[-1] == "json":
        print_json({"problems": [problem.to_dict() for problem in problems]})
    elif asked[-1] == "sarif":
        print_json(reports.to_sarif(reports.problem_findings(problems), nptables.__version__))
    else:
        for line in reports.github_lines(reports.problem_findings(problems)):
            click.echo(line)


def _invoke(arguments: list[str], signals: Signals, program: str) -> int:
    if "_NPTABLES_COMPLETE" in os.environ:
        cli.main(arguments, prog_name="nptables")
    try:
        with cli.make_context(program, arguments, obj=signals) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as stopped:
        return stopped.exit_code
    return result if isinstance(result, int) else 0


def _report_bug(error: Exception) -> int:
    if os.environ.get("NPTABLES_DEBUG"):
        raise error
    click.echo(
        f"nptables: internal error: {type(error).__name__}: {printable(str(error), 500)}\n"
        "This is a bug in nptables; nothing was changed by this error itself. "
        "Set NPTABLES_DEBUG=1 for the traceback and please report it, with these versions:\n"
        f"{versions()}",
        err=True,
    )
    return BUG


def versions() -> str:
    """What a report of a bug has to name: nptables, Python, the system and the packages."""
    own = f"nptables {nptables.__version__}, Python {platform.python_version()} ({sys.platform})"
    return ", ".join([own, *(f"{name} {_version(name)}" for name in _REPORTED)])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
