"""`nptables cleanup`: remove all that is ours from this node's tables."""

from __future__ import annotations

import click

from nptables.cli.node import backend_options, each_family, print_plan, say_kept, summary
from nptables.cli.options import family_options
from nptables.cli.output import say, say_all
from nptables.errors import AmbiguousBackend
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.kernel.change import NodeChange, carry_out, look
from nptables.translation.owned import cleanup_ownership


@click.command("cleanup")
@family_options("both")
@backend_options
@click.option(
    "--dry-run", is_flag=True, help="Only print what would be removed; exit 1 if anything."
)
def command(*, family: Family | None, backend: str, wait: float, dry_run: bool) -> int:
    """Remove every chain and jump that kube-proxy or nptables made, and nothing else.

    KUBE-FIREWALL, its jumps and the kubelet's chains stay. If another program's rule jumps to one
    of our chains, the chain is emptied and kept, and named. If both backends hold our rules, both
    are cleaned.
    """
    failed = False
    for _, changes in each_family(family, lambda each: _look(each, backend, wait)):
        for change in changes:
            say_all(change.warnings, kind="warning")
            if dry_run:
                print_plan(change.plan)
                failed |= bool(change.plan)
                continue
            outcome = carry_out(change, wait=wait, blind=True)
            what = summary(change.plan) if change.plan else "there is nothing to remove"
            say(f"{change.plan.family.value} ({change.backend.name}): {what}")
            say_kept(change.plan, outcome.applied)
    return 1 if failed else 0


def _look(family: Family, backend: str, wait: float) -> list[NodeChange]:
    nothing, owner = Ruleset(family, {}), cleanup_ownership()
    try:
        return [look(nothing, owner, backend=backend, wait=wait, blind=True)]
    except AmbiguousBackend:
        kinds = ("legacy", "nft")
        return [look(nothing, owner, backend=each, wait=wait, blind=True) for each in kinds]
