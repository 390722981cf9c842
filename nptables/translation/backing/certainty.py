"""Whether "no endpoint" is something that the input knows, for one Service."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

from nptables.immutable import frozen
from nptables.model import Cluster, Service
from nptables.model.backing import Backing
from nptables.model.unread import Unread
from nptables.model.workloads import Workload
from nptables.translation.backing.causes import Cause, Speaker, pairs, some
from nptables.translation.backing.selectors import near_misses, shared_by_strangers


@frozen
class Backed:
    """What an input knows about the endpoints of a Service.

    `unread` is what a reading left out that may hold some: those that are there may not be all.
    `unknown` says why the input does not tell them, where it has no slice of the Service. Where
    both are empty, what is there is all that there is. `unplaced` tells that nobody says which
    nodes its Pods are on, as of what was never applied where no Node is known. `causes` are the
    reasons for the absence of endpoints, or for endpoints that are not meant.
    """

    unread: tuple[Unread, ...] = ()
    unknown: str = ""
    unplaced: bool = False
    causes: tuple[Cause, ...] = ()

    @property
    def known(self) -> bool:
        """Whether all endpoints are known, so that something follows from there being none."""
        return not (self.unread or self.unknown)


class _Unknown(enum.StrEnum):
    """Why nothing can be said, in words that follow the name of the Service."""

    NO_WORKLOAD = "no workload in the input could provide its Pods"
    NO_SELECTOR = "it has no selector, so something outside the input creates its endpoints"
    HIDDEN = "addresses are hidden in the input"
    HOOK = "a hook creates it, so its Pods may exist only for a while"
    UNPLACED = "whether {0} is in its namespace depends on how the manifests are applied"
    ELSEWHERE = "{0} in another set of the tree has the labels that it selects"
    DAEMON = "{0} has a Pod on each node, and the input names no node"
    SCALED = "the number of Pods of {0} is set elsewhere"
    NO_PODS = "the Pods of {0} cannot be derived from its manifest"
    RUN_TIME = "{0} may be added to its Pods at runtime"


# Causes that another set of the tree cannot take away: a copy is not the set itself.
_CERTAIN = ("selector-slip", "selector-labels-on-workload")
# Causes, or none, that hold only as far as all Pods are shown that there will be.
_UNSURE = ("", "selector-label-too-many", "selector-labels-on-workload")
# Labels by which programs tell their own leader, as Vault, Patroni, Redis Sentinel and database
# operators do: `vault-active`, `role`, `isMaster`, `instanceRole`.
_ROLE_KEY = re.compile(
    r"(?:^|[-./_]|is|(?<=[a-z])(?=[A-Z]))"
    r"(?i:role|leader|master|primary|active|standby|initialized|sealed)$"
)
_ROLE_VALUES = frozenset(
    ("active", "follower", "leader", "main", "master", "primary", "replica", "secondary", "slave",
     "standby", "true", "false", "read-write", "read-only", "rw", "ro")
)  # fmt: skip

# Labels under these are written by people and charts.
_DOMAINS_OF_AUTHORS = ("app.kubernetes.io", "helm.sh", "example.com", "example.org")


def backed(cluster: Cluster, service: Service) -> Backed:
    """What the input knows about who stands behind a Service.

    Where nothing was left out that may tell, and it has EndpointSlices of a cluster, or none of
    the Service's are missing, all is known.
    """
    if cluster.knows_all_endpoints:
        return _ALL
    kept: dict[tuple[str, str], Backed] = cluster.__dict__.setdefault("_backed", {})
    if service.key not in kept:
        kept[service.key] = _backed(cluster, service)
    return kept[service.key]


# Every Service of most clusters stands like this.
_ALL = Backed()


def _backed(cluster: Cluster, service: Service) -> Backed:
    # From what settles the question to what only suggests an answer: see the order of `_Unknown`.
    if unread := cluster.unread_about(service):
        return Backed(unread)
    backing = cluster.backing
    if backing is not None and service.key in backing.hidden:
        return Backed(unknown=_Unknown.HIDDEN)
    if backing is None or backing.listed:
        return Backed()
    if service.key in backing.hooks and not cluster.slices_of(service):
        return Backed(unknown=_Unknown.HOOK)
    if not service.selector:
        return Backed(unknown="" if cluster.slices_of(service) else _Unknown.NO_SELECTOR)
    fitting = backing.selected(service.namespace, service.selector)
    if slices := cluster.slices_of(service):
        return Backed(
            unplaced=any(not e.node_name for found in slices for e in found.endpoints),
            causes=tuple(shared_by_strangers(Speaker(service, backing), fitting)),
        )
    return _without_slices(cluster, service, backing, fitting)


def _without_slices(
    cluster: Cluster, service: Service, backing: Backing, fitting: tuple[Workload, ...]
) -> Backed:
    if fitting:
        return _empty(service, backing, fitting)
    if placed := _placed_by_others(service, backing):
        return Backed(unknown=_Unknown.UNPLACED.format(some_subjects(placed)))
    beside = _beside(service, backing)
    speaker = Speaker(service, backing)
    claims = [s for s in cluster.services.values() if s.selector and s.key != service.key]
    causes = near_misses(speaker, beside, claims)
    kind = causes[0].code if causes else ""
    others = [w for w in backing.others() if w.fits(service.selector)]
    if others and kind not in _CERTAIN:
        return Backed(unknown=_Unknown.ELSEWHERE.format(some_subjects(others)))
    if kind in _UNSURE:
        if why := _put_on_at_run_time(service, backing) or backing.lacking:
            return Backed(unknown=why)
        if any(o.namespace == service.namespace for o in backing.operated):
            causes = ()
    if causes:
        return Backed(causes=causes)
    if not beside:
        return Backed(unknown=_Unknown.NO_WORKLOAD)
    return Backed(causes=tuple(_fits_none(speaker, beside)))


def _empty(service: Service, backing: Backing, fitting: tuple[Workload, ...]) -> Backed:
    """Workloads are selected, and there is no Pod."""
    daemons = [w for w in fitting if w.replicas is None]
    if daemons:
        return Backed(
            unknown="" if backing.has_nodes else _Unknown.DAEMON.format(some_subjects(daemons))
        )
    scaled = [w for w in fitting if (w.kind, w.namespace, w.name) in backing.scaled]
    if scaled:
        return Backed(unknown=_Unknown.SCALED.format(some_subjects(scaled)))
    if all(w.replicas == 0 for w in fitting):
        return Backed(causes=tuple(_no_replicas(Speaker(service, backing), fitting)))
    makers = [w for w in fitting if w.path]
    return Backed(unknown=_Unknown.NO_PODS.format(some_subjects(makers)) if makers else "")


def _placed_by_others(service: Service, backing: Backing) -> list[Workload]:
    """The workloads that fit if whoever applies them puts them in the same namespace."""
    if service.key not in backing.unplaced:
        unplaced = (w for w in backing.lasting("default") if not w.namespace_given)
        return [w for w in unplaced if w.fits(service.selector)]
    placed = (w for w in backing.workloads if w.namespace_given and not w.hook)
    return [w for w in placed if w.fits(service.selector)]


def _beside(service: Service, backing: Backing) -> list[Workload]:
    """The workloads whose neighbourhood says that the Service's own should be here too.

    Where no namespace is written, two folders of a tree may well be meant for two clusters: then
    only what stands in the folder of the Service counts.
    """
    found = [w for w in backing.lasting(service.namespace) if not w.is_single]
    if service.key not in backing.unplaced or not backing.scattered:
        return found
    folder = _folder(backing, "Service", *service.key)
    return [w for w in found if _folder(backing, w.kind, w.namespace, w.name) == folder]


def _folder(backing: Backing, kind: str, namespace: str, name: str) -> str:
    found = backing.place(kind, namespace, name, ())
    return "" if found is None else found[0].rpartition("/")[0]


def _put_on_at_run_time(service: Service, backing: Backing) -> str:
    """A label of the selector that looks as if a program puts it on Pods, which do not have it.

    Programs tell their leader by one, and controllers mark Pods under the domain of their project.
    """
    workloads = backing.lasting(service.namespace)
    for key, value in service.selector.items():
        rest = {other: wanted for other, wanted in service.selector.items() if other != key}
        meant = [w for w in workloads if w.fits(rest)] or workloads
        if any(key in workload.labels for workload in meant):
            continue
        domain, slash, _ = key.partition("/")
        is_role = _ROLE_KEY.search(key) is not None and value.lower() in _ROLE_VALUES
        if is_role or (slash and not domain.endswith(_DOMAINS_OF_AUTHORS)):
            return _Unknown.RUN_TIME.format(f"{key}={value}")
    return ""


def _fits_none(speaker: Speaker, beside: list[Workload]) -> Iterator[Cause]:
    service, backing = speaker.service, speaker.backing
    wanted = f"the selector {pairs(service.selector)}{speaker.here('spec', 'selector')}"
    operated = [o for o in backing.operated if o.namespace == service.namespace]
    if operated:
        yield speaker.cause(
            "pods-of-operator",
            f"{wanted} fits no workload of the input; the operator of "
            f"{some(o.subject for o in operated)} may make such Pods",
            "",
            ("spec", "selector"),
        )
        return
    has = some(
        f"{pairs(w.labels) or 'no label'} ({w.subject}{speaker.there(w, w.label_path)})"
        for w in beside
    )
    yield speaker.cause(
        "selector-fits-none",
        f"{wanted} fits no workload of its namespace; their Pods have {has}",
        "give the selector the labels of the Pods that are meant",
        ("spec", "selector"),
        *[(w, w.label_path) for w in beside[:4]],
    )


def _no_replicas(speaker: Speaker, fitting: tuple[Workload, ...]) -> Iterator[Cause]:
    for workload in fitting:
        path = (*workload.path[:-1], "replicas")
        where = speaker.there(workload, path)
        yield speaker.cause(
            "no-replicas",
            f"{workload.subject} has replicas: 0{where}, so there is no Pod to select",
            f'write "replicas: 1" or more in {workload.subject}{where}',
            ("spec", "selector"),
            (workload, path),
        )


def some_subjects(workloads: list[Workload] | tuple[Workload, ...]) -> str:
    """The names of workloads."""
    return some(workload.subject for workload in workloads)
