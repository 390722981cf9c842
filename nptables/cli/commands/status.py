"""`nptables status`: ask the agent that runs on this node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nptables.cli.output import folded, print_json, say


@click.command("status")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default="/run/nptables",
    show_default=True,
    help="The folder of the agent's socket.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(*, run_dir: Path, output: str) -> int:
    """Show the state of the agent that runs on this node; needs root.

    Exit 1 if it is unhealthy, not in sync, or sees drift that it does not repair; exit 3 if no
    agent runs.
    """
    from nptables.agent.serving import ask_status  # noqa: PLC0415 - only this command needs it

    status = ask_status(run_dir)
    if output == "json":
        print_json(status)
    else:
        _print(status)
    return 0 if status["healthy"] and status["synced"] and not _drift(status) else 1


def _drift(status: dict[str, Any]) -> int:
    """How many rule lines differ and are not repaired, as in observe mode."""
    return sum(family["driftLines"] for family in status["families"])


def _print(status: dict[str, Any]) -> None:
    state = "in sync" if status["synced"] else "waiting for its first sync"
    if lines := _drift(status):
        state = f"{lines} rule lines differ from what they should be"
    if not status["healthy"]:
        state = f"behind: a change waits since {status['pendingSeconds']} s"
    head = f"Node {status['node']}, mode {status['mode']}, pid {status['pid']}: {state}"
    click.echo(folded(head))
    # An agent that is older than this command does not say it.
    if version := status.get("kubeProxyVersion"):
        click.echo(f"Rules of kube-proxy {version}")
    click.echo(f"Last sync: {status['lastSync'] or 'never'}")
    for family in status["families"]:
        click.echo(f"{family['family']} ({family['backend']}): {family['rules']} rules")
    click.echo(f"{status['services']} Services, {status['endpointSlices']} EndpointSlices")
    for family in status["families"]:
        if family.get("unverified"):
            say(f"{family['family']} is not verified: {family['unverified']}", kind="warning")
    if status["otherProxy"]:
        say(f"another proxy runs on this node: {status['otherProxy']}", kind="warning")
    if status["problems"]:
        say(f"{status['problems']} objects are left out in whole or in part", kind="warning")
    if not status["nodeEligible"]:
        say("the Node is gone, being deleted, or about to be removed", kind="warning")
    for name, state in status["watches"].items():
        if state != "ok":
            say(f"watching {name} fails: {state}", kind="warning")
