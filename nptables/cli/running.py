"""The message and the exit code for what a command raises.

Exit codes: 0 done, nothing to report; 1 there is a difference, a finding, or the packet does
not arrive; 2 the input or the command line is wrong; 3 the kernel or the API server refused, and
that is so for standard output that takes no data; 4 busy, try again; 70 a bug of ours; 130
interrupted. A reader who stops early (`| head -1`) does not change the code.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from nptables.signals import Signals

WRONG_INPUT = 2
REFUSED = 3
BUG = 70
INTERRUPTED = 130
# The script of a shell asks with it what to complete.
COMPLETION = "_NPTABLES_COMPLETE"
_REPORTED = ("click", "kubernetes", "attrs", "PyYAML")


def run(arguments: Sequence[str], signals: Signals | None, program: str = "nptables") -> int:
    """Run one command and turn whatever it raises into words and an exit code.

    `signals` is for the command that is stopped by signals on purpose; `program` is how usage texts
    call us.
    """
    if COMPLETION in os.environ:
        from nptables.cli.completing import answer  # noqa: PLC0415 - the shell alone needs it

        return answer(os.environ[COMPLETION])
    # What an earlier command of the same process kept to its end.
    gc.unfreeze()
    with guarded_streams():
        try:
            code = _answer(arguments, signals, program)
            sys.stdout.flush()
        except OutputLost as error:
            click.echo(f"error: standard output cannot be written: {error}", err=True)
            return REFUSED
        return code


def _answer(arguments: Sequence[str], signals: Signals | None, program: str) -> int:
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
    asked = re.findall(r" (?:-o ?|--output[ =])([a-z]+)(?= )", text)
    if asked == []:
        return
    if asked[-1] == "json":
        print_json({"problems": [problem.to_dict() for problem in problems]})
        return
    # Only where something is wrong: most commands print no findings.
    from nptables.checks.reports import problem_findings  # noqa: PLC0415
    from nptables.cli.forms import FORMS, print_lines  # noqa: PLC0415
    from nptables.cli.forms.form import Findings  # noqa: PLC0415

    form = FORMS.get(asked[-1])
    if form is not None and form.findings is not None:
        print_lines(form.findings(Findings("nptables", problem_findings(problems))))


def _invoke(arguments: list[str], signals: Signals | None, program: str) -> int:
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
    import platform  # noqa: PLC0415 - for a report of a bug only

    own = f"nptables {nptables.__version__}, Python {platform.python_version()} ({sys.platform})"
    return ", ".join([own, *(f"{name} {_version(name)}" for name in _REPORTED)])


def _version(package: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - costs as much as all else of a small command

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
