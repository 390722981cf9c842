"""`nptables confirm`: keep what `nptables apply --confirm` changed."""

from __future__ import annotations

import click

from nptables.cli.output import say
from nptables.errors import InvalidInput, Problem
from nptables.kernel import confirming


@click.command("confirm")
def command() -> int:
    """Keep the changes of the `nptables apply --confirm` that is waiting in another shell."""
    answer = confirming.confirm()
    if answer is None:
        raise InvalidInput([Problem("nothing waits to be confirmed here")])
    if answer.outcome == confirming.KEPT:
        say("confirmed: the changes stay")
        return 0
    if answer.outcome == confirming.TAKEN_BACK:
        say("too late: the changes were rolled back", kind="warning")
        return 1
    say(f"too late, and the changes could not be rolled back: {answer.details}", kind="error")
    return 3
