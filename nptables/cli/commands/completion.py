"""`nptables completion`: let a shell complete command lines."""

from __future__ import annotations

import click

from nptables.cli.completing import SHELLS, script


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(*, shell: str) -> int:
    """Print a script that lets SHELL complete commands, options, files and names.

    Names of nodes, Services and Pods come from the FILEs on the command line. Without FILEs they
    come from the cluster of the current context, if it answers within a second.

    \b
    source <(nptables completion bash)    # in ~/.bashrc
    source <(nptables completion zsh)     # in ~/.zshrc, after compinit
    nptables completion fish | source     # in ~/.config/fish/config.fish

    `kubectl nptables` is completed by kubectl's own completion.
    """  # noqa: D301 - click takes a backspace for "do not wrap"; a raw string has none
    click.echo(script(shell), nl=False)
    return 0
