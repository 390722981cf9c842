"""A change of one family on this node as a whole: tables, then the connections gone stale."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nptables.errors import BackendUnavailable, KernelBusy, KernelError, ReadingStarved
from nptables.immutable import frozen
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import Plan, diff, undo
from nptables.kernel.node.conntrack import delete_stale_flows
from nptables.kernel.node.other_tables import native_rules
from nptables.kernel.tables.applier import Applied, Applier
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.choosing import Choice, choose
from nptables.kernel.tables.parts import unprintable
from nptables.kernel.tables.restoring import DEFAULT_WAIT, RestoreBackend
from nptables.translation.frontends import udp_frontends


@frozen
class NodeChange:
    """What is to do on this node in one family, on which backend, and why on that one.

    `warnings` are sentences about what the comparison could not see. `starved` says why only parts
    of the tables were read, if so.
    """

    backend: Backend
    plan: Plan
    reason: str
    warnings: tuple[str, ...] = ()
    starved: ReadingStarved | None = None


@frozen
class Outcome:
    """What came of a change: what the applier did, and how many stale UDP connections were deleted.

    `problem` says why connections could not be looked at, if so.
    """

    applied: Applied
    deleted_flows: int = 0
    problem: str = ""


def look(
    desired: Ruleset,
    ownership: Ownership | None = None,
    *,
    backend: str = "auto",
    wait: float = DEFAULT_WAIT,
    blind: bool = False,
) -> NodeChange:
    """Read the tables of this node and compare them with the desired ones.

    With `blind`, parts of them will do where others keep them from being read.
    Raises what `choose` raises.
    """
    choice = choose(desired.family, backend, wait=wait, blind=blind)
    plan = diff(choice.current, desired, ownership=ownership)
    warnings: list[str] = []
    if choice.backend.name == "nft":
        warnings = [
            *_unprintable(choice),
            *native_rules(choice.current, plan.ownership),
        ]
    return NodeChange(choice.backend, plan, choice.reason, tuple(warnings), choice.starved)


def carry_out(
    change: NodeChange,
    *,
    local_addresses: Sequence[str] = (),
    verify: bool = True,
    wait: float = DEFAULT_WAIT,
    blind: bool = False,
) -> Outcome:
    """Apply a change, then delete the UDP connections that its rules no longer stand behind.

    `local_addresses` are those of this node, on which node ports answer. Raises what
    `Applier.apply` raises; a table of connections that cannot be read is only a problem.
    """
    applier = Applier(change.backend, verify=verify, wait=wait, blind=blind, starved=change.starved)
    # Rules first, as in kube-proxy's syncProxyRules: a connection that is deleted before them comes
    # back by the old rules with its next packet.
    applied = applier.apply(change.plan)
    plan = change.plan
    try:
        deleted = delete_stale_flows(
            plan.family,
            udp_frontends(plan.before),
            udp_frontends(plan.desired),
            frozenset(local_addresses),
        )
    except BackendUnavailable as error:
        return Outcome(applied, problem=str(error))
    return Outcome(applied, deleted)


def _unprintable(choice: Choice) -> list[str]:
    backend = choice.backend
    return unprintable(backend, choice.current) if isinstance(backend, RestoreBackend) else []


# How long to try to take changes back while others keep the tables busy, and between two attempts,
# in seconds. The one that is cut off by the changes can do nothing meanwhile.
_TIMEOUT = 600.0
_PAUSE = 1.0


def take_back(
    changes: Sequence[NodeChange],
    then: Callable[[], Sequence[str]] = tuple,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Undo changes, wholly or partly carried out; returns a sentence for each that failed.

    While the kernel is busy it is tried again, for ten minutes. `then` undoes what comes after the
    rules, and does not wait for those that have to be tried again.
    """
    until = clock() + _TIMEOUT
    left, problems = _take_back_once(changes)
    problems += then()
    while left and clock() < until:
        sleep(_PAUSE)
        left, more = _take_back_once([change for change, _ in left])
        problems += more
    return [*problems, *(why for _, why in left)]


def _take_back_once(
    changes: Sequence[NodeChange],
) -> tuple[list[tuple[NodeChange, str]], list[str]]:
    """Undo changes; returns those that had to wait, each with why, and why others failed."""
    busy = []
    problems = []
    for change in changes:
        try:
            Applier(change.backend).apply(undo(change.plan, change.backend.read()))
        except KernelBusy as error:
            busy.append((change, f"{change.plan.family.value}: {error}"))
        except KernelError as error:
            problems.append(f"{change.plan.family.value}: {error}")
    return busy, problems
