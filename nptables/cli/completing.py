"""Answers to the shells, and to kubectl, that complete a command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete, get_completion_class, shell_complete

from nptables.cli.app import cli
from nptables.cli.running import COMPLETION

SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "nptables"
# How kubectl, by Cobra, tells the shell what to do (cobra.ShellCompDirective).
_FILES, _NO_FILES, _FOLDERS = 0, 4, 16


def script(shell: str) -> str:
    """The script that makes a shell complete `nptables`."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    # That of bash would start bash to ask for its version.
    return ShellComplete.source(found(cli, {}, _PROGRAM, COMPLETION))


def answer(instruction: str) -> int:
    """Answer the script of a shell, which has the command line in variables of its own.

    Nothing is said of what goes wrong: whoever reads it is in the middle of a line.
    """
    try:
        return shell_complete(cli, {}, _PROGRAM, COMPLETION, instruction)
    except Exception:  # noqa: BLE001 - the shell offers nothing then
        return 1


def print_for_kubectl(words: Sequence[str]) -> None:
    """The completions of the last word, as kubectl takes them of `kubectl_complete-NAME`.

    Each on a line of its own, with a tab before what it means; at the end what the shell is to do.
    """
    *before, incomplete = words or ("",)
    try:
        found = ShellComplete(cli, {}, _PROGRAM, COMPLETION).get_completions(before, incomplete)
    except Exception:  # noqa: BLE001 - kubectl offers nothing then
        found = []
    kinds = {item.type for item in found}
    for item in found:
        if item.type == "plain":
            meaning = f"\t{item.help}" if item.help else ""
            sys.stdout.write(f"{item.value}{meaning}\n")
    directive = _FILES if "file" in kinds else _FOLDERS if "dir" in kinds else _NO_FILES
    sys.stdout.write(f":{directive}\n")
