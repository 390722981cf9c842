"""Warnings about what rules were made from, and the codes of those about unknown endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nptables.errors import Problem
from nptables.immutable import frozen
from nptables.model.kubeproxy import habits
from nptables.model.kubeproxy.seeing import BREAKS_RESTORE
from nptables.translation.context import NO_NETWORKS, Context

if TYPE_CHECKING:
    from nptables.translation.assembly import Translation

# Codes of reasons that say why not all endpoints of a Service are known: a reading left out what
# may hold some, or the input never had what tells them, or not which nodes they are on.
UNREAD, UNTOLD, UNPLACED = "endpoints-unread", "endpoints-unknown", "endpoints-unplaced"
UNKNOWN = (UNREAD, UNTOLD, UNPLACED)


@frozen
class Notice:
    """A warning: a stable code, the Service it is about (or an empty string), and a sentence."""

    code: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" if self.subject else self.text


def notices(translation: Translation) -> Iterator[Notice]:
    """What `Translation.warnings` says of likely mistakes in the input."""
    context, cluster = translation.context, translation.cluster
    yield from (Notice("configuration", "", remark) for remark in context.remarks)
    yield from (_left_out(problem, context) for problem in cluster.problems)
    if not cluster.knows_all_endpoints:
        yield from _unknown(translation)
    yield from (
        Notice("collision", str(collision.ports[0]), str(collision))
        for collision in translation.collisions
    )
    yield from _node_port_notices(context)
    name = context.node_name
    known = (pair for rules in translation.ports.values() for pair in rules.selection.known)
    if all(endpoint.node_name != name for _, endpoint in known) and (
        carried := translation.carried_node_names
    ):
        listed = ", ".join(sorted(carried)[:20])
        yield Notice(
            "node-name-carried-by-no-endpoint",
            "",
            f"no endpoint is on {name}, endpoints are on: {listed} "
            "(expected if it runs no Pod of these Services; otherwise check the name)",
        )


def _unknown(translation: Translation) -> Iterator[Notice]:
    # Of the clusters that an API server gave, all endpoints are known.
    from nptables.translation.explanation.decision import unknown_reason  # noqa: PLC0415

    cluster = translation.cluster
    for key in dict.fromkeys((name.namespace, name.name) for name in translation.ports):
        if (reason := unknown_reason(cluster.services[key], cluster)) is not None:
            yield Notice(reason.code, "/".join(key), f"{reason}; its rules may differ")


def _left_out(problem: Problem, context: Context) -> Notice:
    """What of the input is left out: because it is wrong, or because kube-proxy fails by it."""
    where = f"{problem.field}: {problem.message}"
    if problem.code == BREAKS_RESTORE or (
        problem.code == "wrong-family" and context.has(habits.WRONG_FAMILY_BREAKS)
    ):
        return Notice(
            BREAKS_RESTORE,
            problem.subject,
            f"{where}: nptables skips it, but kube-proxy {context.version} itself would fail to "
            f"program any rule",
        )
    return Notice("left-out", problem.subject, f"{where}, so it is left out")


def _node_port_notices(context: Context) -> list[Notice]:
    """Likely mistakes in the addresses that node ports answer on."""
    if context.all_addresses or context.node_port_addresses:
        return []
    networks = ", ".join(context.node_port_networks) or NO_NETWORKS
    text = f"no address of {context.node_name} is in nodePortAddresses ({networks})"
    return [Notice("no-node-port-address", "", f"{text}: node ports answer nowhere")]
