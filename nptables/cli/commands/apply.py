"""`nptables apply`: make this node's tables what the cluster says."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from nptables.answering.comparing import plans_document
from nptables.cli.effects import (
    effects_option,
    of_change,
    print_effects,
    say_effects,
    say_summary,
)
from nptables.cli.forms.form import Noticed
from nptables.cli.manifests import NO_INPUT, names_a_cluster, say_what_is_unknown
from nptables.cli.node import (
    backend_options,
    each_family,
    print_plan,
    print_restore,
    say_kept,
    summary,
    with_live_facts,
)
from nptables.cli.options import Inputs, family_options, manifest_options, node_options, read_inputs
from nptables.cli.output import print_json, say, say_all
from nptables.errors import AnotherProxy, KernelError
from nptables.family import Family
from nptables.kernel import confirming
from nptables.kernel.change import NodeChange, Outcome, carry_out, look, take_back
from nptables.kernel.node.kube_proxy import find_kube_proxy
from nptables.kernel.node.preparation import (
    Setting,
    create_counters,
    missing_settings,
    write,
)
from nptables.kernel.node.preparation import take_back as take_settings_back
from nptables.kernel.node.services import find_handlers
from nptables.translation.explanation.notices import UNREAD

# Seconds that rolling back usually takes less than.
_SLOW = 2.0
_STILL_BUSY = (
    "still rolling back: while others keep the tables busy it is tried again, for ten minutes"
)


@click.command("apply")
@manifest_options
@node_options
@family_options("both")
@backend_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print what would change; exit 1 if anything would.",
)
@effects_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "restore"]),
    default="text",
    show_default=True,
    help="The format of what --dry-run prints.",
)
@click.option(
    "--confirm",
    "seconds",
    type=click.FloatRange(1, 86400),
    metavar="SECONDS",
    help="Roll the changes back after this time, sysctls included, unless you press Enter here or "
    "run `nptables confirm` in another shell.",
)
@click.option("--no-verify", is_flag=True, help="Do not read the tables back to verify them.")
@click.option("--no-prepare", is_flag=True, help="Do not set sysctls or create nfacct counters.")
@click.option(
    "--no-blind",
    is_flag=True,
    help="If other programs change the nft tables faster than they can be read, exit 4 instead of "
    "rewriting all our rules unread. --dry-run and --confirm imply it.",
)
@click.option("--force", is_flag=True, help="Apply although another proxy runs here.")
def command(
    *,
    backend: str,
    wait: float,
    dry_run: bool,
    effects: bool,
    output: str,
    seconds: float | None,
    no_verify: bool,
    no_prepare: bool,
    no_blind: bool,
    force: bool,
    **options: Any,
) -> int:
    """Write the rules that kube-proxy would write to this node's tables, and touch no others.

    Run it as root on the node. Both address families are written unless -4 or -6 is given. The
    cluster has to be named: by FILE, --kubeconfig or --context. It has to be all of it: the rules
    of Services that are not in it are removed.
    """
    _refuse_unnamed_cluster(options["files"], options["more_files"])
    if output != "text" and not dry_run:
        raise click.UsageError("-o needs --dry-run")
    if effects and (not dry_run or output == "restore"):
        raise click.UsageError("--effects needs --dry-run, and -o text or json")
    asked: Family | None = options["family"]
    inputs = read_inputs(**options, live=True)
    if not dry_run:
        _refuse_beside_kube_proxy(force=force)
    _refuse_beside_others(force=force or dry_run)
    settings: list[Setting] = []
    if not dry_run and not no_prepare:
        # The rules name the counters, and so depend on them; they do not depend on sysctls.
        _say_settings(create_counters(inputs.config))
        settings = _missing_settings(inputs)
    will_prepare = dry_run and not no_prepare
    inputs = with_live_facts(inputs, options["facts_path"], will_prepare=will_prepare)

    # What was there before has to be known to be printed, and to be brought back.
    blind = not (no_blind or dry_run or seconds is not None)

    def compare(family: Family) -> NodeChange:
        return look(inputs.translate(family), backend=backend, wait=wait, blind=blind)

    changes = dict(each_family(asked, compare))
    _say_what_is_not_known(changes.values(), inputs)
    for change in changes.values():
        say_all(change.warnings, kind="warning")
    if dry_run and effects:
        noticed = [of_change(change, inputs) for change in changes.values()]
        return print_effects([Noticed(each, lambda _: None) for each in noticed], output)
    if dry_run:
        return _print(changes, output)
    if seconds is not None:
        noticed = [of_change(change, inputs) for change in changes.values() if change.plan]
        say_effects(noticed)
        say_summary(noticed)

    def bring(family: Family, change: NodeChange) -> None:
        if change.starved is not None:
            say(f"{change.starved}; going on without having read them", kind="warning")
        outcome = carry_out(
            change,
            local_addresses=inputs.node.interface_addresses(family),
            verify=not no_verify,
            wait=wait,
            blind=blind,
        )
        _say_outcome(family, change, outcome)

    return _apply(changes, settings, bring, seconds=seconds)


def _apply(
    changes: Mapping[Family, NodeChange],
    settings: Sequence[Setting],
    bring: Callable[[Family, NodeChange], None],
    *,
    seconds: float | None,
) -> int:
    """Settings, then each family; under guard where they are to be confirmed."""
    guard = None
    planned = any(change.plan for change in changes.values())
    if seconds is not None and (planned or any(not setting.problem for setting in settings)):
        guard = confirming.guard(
            seconds,
            lambda: take_back(tuple(changes.values()), lambda: take_settings_back(settings)),
        )
    finished: list[Family] = []
    try:
        written = write(settings)
        _say_settings(written)
        for family, change in changes.items():
            bring(family, change)
            finished.append(family)
    except KernelError:
        if guard is not None:
            guard.say("revert")
            _report(_answer(guard))
        elif not finished:
            # Without the rules route_localnet would let others reach what listens on 127.0.0.1.
            _take_settings_back(settings)
        raise
    if guard is None or seconds is None:
        return 0
    if not planned and all(setting.problem for setting in written):
        guard.say("confirm")
        return 0
    return _await(guard, seconds)


def _say_what_is_not_known(changes: Iterable[NodeChange], inputs: Inputs) -> None:
    """Name the Services whose endpoints are not all known: their rules lack some."""
    notices = [
        notice for change in changes for notice in getattr(change.plan.desired, "warnings", ())
    ]
    unread = dict.fromkeys(str(n) for n in notices if n.code == UNREAD)
    say_all(unread, kind="warning")
    say_what_is_unknown([inputs.cluster])


def _refuse_unnamed_cluster(files: tuple[str, ...], more_files: tuple[str, ...]) -> None:
    """Refuse a cluster that the command line does not name."""
    if not names_a_cluster(files, more_files):
        raise click.UsageError(
            f"{NO_INPUT}, or a cluster with --kubeconfig or --context: apply changes this node, "
            "so it does not take the current context by itself"
        )


def _refuse_beside_kube_proxy(*, force: bool) -> None:
    found = find_kube_proxy()
    if not found:
        return
    message = f"{found} runs on this node, and the two would undo each other's rules"
    if not force:
        raise AnotherProxy(f"{message}: stop it first, or use --force", found=found)
    say(message, kind="warning")


def _refuse_beside_others(*, force: bool) -> None:
    found = find_handlers()
    message = found.instead("this node")
    if not message:
        return
    if not force:
        raise AnotherProxy(
            f"{message}: remove it first, or use --force", found=found.others[0].who.words
        )
    say(message, kind="warning")


def _missing_settings(inputs: Inputs) -> list[Setting]:
    context = inputs.translate(Family.IPV4).context
    return missing_settings(inputs.config, localhost_node_ports=context.localhost_node_ports)


def _say_settings(settings: Iterable[Setting]) -> None:
    for setting in settings:
        say(str(setting), kind="warning" if setting.problem else "note")


def _take_settings_back(settings: Sequence[Setting]) -> None:
    problems = take_settings_back(settings)
    say_all(problems, kind="warning")
    if not problems and any(not setting.problem for setting in settings):
        say("the sysctls are as they were before")


def _print(changes: dict[Family, NodeChange], output: str) -> int:
    plans = [change.plan for change in changes.values()]
    if output == "json":
        print_json(plans_document((plan, {}) for plan in plans))
    elif output == "restore":
        print_restore(plans)
    else:
        for plan in plans:
            print_plan(plan)
    return 1 if any(plans) else 0


def _say_outcome(family: Family, change: NodeChange, outcome: Outcome) -> None:
    what = summary(change.plan) if change.plan else "nothing to do"
    say(f"{family.value} ({change.backend.name}): {what}")
    say_kept(change.plan, outcome.applied)
    if outcome.deleted_flows:
        connections = "connection" if outcome.deleted_flows == 1 else "connections"
        say(f"{family.value}: {outcome.deleted_flows} stale UDP {connections} deleted")
    if outcome.problem:
        say(f"{family.value}: {outcome.problem}", kind="warning")


def _await(guard: confirming.Guarded, seconds: float) -> int:
    """Wait for Enter here, `nptables confirm` elsewhere, or the end of the time."""
    guard.say("applied")
    say(
        f"applied; press Enter within {seconds:g} s to keep it, or run `nptables confirm` in "
        "another shell"
    )
    until = time.monotonic() + seconds
    if _is_at_a_terminal():
        ready, _, _ = select.select([guard, sys.stdin], [], [], seconds)
        if guard not in ready and sys.stdin in ready and sys.stdin.readline():
            guard.say("confirm")
    return _report(_answer(guard, until - time.monotonic()))


def _is_at_a_terminal() -> bool:
    with contextlib.suppress(OSError, ValueError):
        return sys.stdin is not None and sys.stdin.isatty()
    return False


def _answer(guard: confirming.Guarded, seconds: float = 0.0) -> confirming.Answer:
    """What becomes of the changes; that it takes longer than it may for a person is said."""
    if not select.select([guard], [], [], max(0.0, seconds) + _SLOW)[0]:
        say(_STILL_BUSY)
    return guard.answer()


def _report(answer: confirming.Answer) -> int:
    if answer.outcome == confirming.KEPT:
        say("confirmed: the changes stay")
        return 0
    if answer.outcome == confirming.TAKEN_BACK:
        say("not confirmed: the changes were rolled back", kind="warning")
        return 1
    say(f"the changes could not be rolled back: {answer.details}", kind="error")
    return 3
