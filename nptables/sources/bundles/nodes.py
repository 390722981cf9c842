"""What bundles hold of nodes, as evidence: rules in the best form of them, facts, the time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem, printable
from nptables.evidence import Evidence, Gap, Process
from nptables.evidence.kubeproxy import NAME as KUBE_PROXY
from nptables.evidence.kubeproxy import override_of
from nptables.evidence.printed import (
    date_shown,
    host_named,
    interfaces_shown,
    kernel_shown,
    kube_proxy_logged,
    processes_shown,
    routes_shown,
    sets_shown,
    settings_shown,
)
from nptables.evidence.settings import is_kept
from nptables.family import Family
from nptables.model import NodeFacts
from nptables.sources.bundles.finding import Bundle, Contents, Piece
from nptables.sources.bundles.layouts import Holds
from nptables.sources.bundles.objects import at
from nptables.sources.bundles.outputs import sorted_out
from nptables.sources.bundles.rules import ReadText, Rules, rules_of
from nptables.sources.kubeproxy import parse_config
from nptables.sources.text.files import decode
from nptables.translation.flows import Flow, listed_flows

_LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"
_COUNT = "net/netfilter/nf_conntrack_count"
_HOSTNAME = "kernel/hostname"
_FAMILIES = {family.value: family for family in Family}


def evidences_of(contents: Contents, read: ReadText) -> list[Evidence]:
    """What is there of each node that has rules; `read` gives evidence for a text with rules.

    Raises InvalidInput where there are no rules of any node.
    """
    found, failed = [], []
    for bundle in contents.bundles:
        for node in bundle.nodes():
            one = _OneNode(sorted_out(node), read).evidence()
            if one.rulesets or one.native:
                found.append(one)
            elif one.gaps:
                failed.append(one)
    if not found:
        raise InvalidInput([_no_rules(contents, failed)])
    gaps = [Gap("a part of the archive", note) for note in contents.notes]
    if contents.damage:
        gaps.append(Gap("the end of the archive", f"it breaks off: {contents.damage}"))
    return [attrs.evolve(one, gaps=(*one.gaps, *gaps)) for one in found]


def _no_rules(contents: Contents, failed: list[Evidence]) -> Problem:
    layouts = ", ".join(dict.fromkeys(bundle.layout.name for bundle in contents.bundles))
    gaps = [str(gap) for one in failed for gap in one.gaps]
    if gaps:
        return Problem(
            f"is a bundle ({layouts}) in which no rules can be read: {gaps[0]}",
            file=contents.path,
        )
    return Problem(
        f"is a bundle ({layouts}) without the rules of a node",
        hint="name it as a FILE if it has the objects of a cluster",
        file=contents.path,
    )


class _OneNode:
    """Puts together what a bundle has of one node."""

    def __init__(self, bundle: Bundle, read: ReadText) -> None:
        self.bundle = bundle
        self.read = read
        self.gaps: list[Gap] = []

    def evidence(self) -> Evidence:
        """All of it."""
        rules = rules_of(self.bundle, self.read)
        settings = self._settings()
        processes = self._processes()
        names = self._names(settings, processes or ())
        kept = {path: value for path, value in settings.items() if is_kept(path)}
        count = settings.get(_COUNT, "")
        flows = self._flows()
        return Evidence(
            rules.form,
            rulesets=rules.rulesets,
            node=names[0] if names else "",
            aliases=tuple(names[1:]),
            taken=self._taken(rules),
            facts=self._facts(kept),
            sysctls=kept or None,
            ipset=self._sets(),
            native=rules.native,
            flows=flows,
            connections=int(count) if count.isdecimal() else None,
            processes=processes,
            versions=self._versions(),
            gaps=tuple(dict.fromkeys((*rules.gaps, *self.gaps))),
        )

    def _texts(self, *kinds: Holds) -> Iterator[tuple[Piece, str]]:
        for piece in self.bundle.of(*kinds):
            source = decode(piece.name, piece.data)
            if not isinstance(source, Problem):
                yield piece, source.text
            elif piece.data:
                # What is only looked into may well have a name in another encoding.
                yield piece, piece.data.decode("utf-8", "replace").replace("\0", "")

    def _settings(self) -> dict[str, str]:
        return next(
            (s for _, text in self._texts(Holds.SETTINGS) if (s := settings_shown(text))), {}
        )

    def _names(self, settings: Mapping[str, str], processes: Iterable[Process]) -> list[str]:
        """The names that the node gives itself, the one that it goes by first."""
        found = [piece.told["node"] for piece in self.bundle.pieces if piece.told.get("node")]
        shorter = []
        for piece, text in self._texts(Holds.HOSTNAME):
            name = _in_json(text) if piece.name.endswith(".json") else host_named(text)
            if "instance-id" in piece.name:
                shorter.append(name)
            else:
                found.append(name)
        found += [kernel_shown(text)[0] for _, text in self._texts(Holds.KERNEL)]
        found += [host_named(settings.get(_HOSTNAME, "")), *shorter]
        found += [host_named(override_of(p)) for p in processes if p.name == KUBE_PROXY]
        return [name for name in dict.fromkeys(found) if name]

    def _taken(self, rules: Rules) -> str:
        for _, text in self._texts(Holds.DATE):
            if found := date_shown(text):
                return found
        return at(rules.written) if rules.written is not None else ""

    def _facts(self, settings: Mapping[str, str]) -> NodeFacts | None:
        found: dict[str, Any] = {}
        if _LIBERAL in settings:
            found["tcpBeLiberal"] = settings[_LIBERAL] not in ("", "0")
        for _, text in self._texts(Holds.ADDRESSES):
            if interfaces := interfaces_shown(text):
                found["interfaces"] = interfaces
                break
        routes = []
        for piece, text in self._texts(Holds.ROUTES):
            routes += routes_shown(text, _FAMILIES.get(piece.part.family))
        if routes:
            found["routes"] = [route for n, route in enumerate(routes) if route not in routes[:n]]
        if not found:
            return None
        try:
            return NodeFacts.from_mapping(found)
        except InvalidInput as error:
            self.gaps.append(Gap("interfaces and routes", printable(str(error))))
            return None

    def _sets(self) -> str | None:
        found = "".join(sets_shown(text) for _, text in self._texts(Holds.SETS))
        return found or None

    def _flows(self) -> tuple[Flow, ...] | None:
        """The UDP connections; None where nobody listed any."""
        texts = [text for _, text in self._texts(Holds.CONNECTIONS)]
        if not any("src=" in text for text in texts):
            return None
        whole = [text[: text.rfind("\n") + 1] for text in texts]
        found = [flow for f in Family for text in whole for flow in listed_flows(text, f)]
        return tuple(dict.fromkeys(found))

    def _processes(self) -> tuple[Process, ...] | None:
        """The programs that handle Services; that none is listed says nothing: None."""
        shown: tuple[Process, ...] = ()
        for _, text in self._texts(Holds.PROCESSES):
            shown = shown or processes_shown(text)
        logged = _agreed([text for _, text in self._texts(Holds.LOG)])
        configurations = (parse_config(text) for _, text in self._texts(Holds.CONFIGURATION))
        configured = next(filter(None, configurations), None)
        found = [self._told(process, logged, configured) for process in shown]
        if not any(p.name == KUBE_PROXY for p in found) and (logged or configured):
            found.append(self._told(logged or Process(KUBE_PROXY), None, configured))
        return tuple(found) or None

    def _told(
        self, process: Process, logged: Process | None, configured: Mapping[str, Any] | None
    ) -> Process:
        """A process with what its log and its configuration say of it."""
        if process.name != KUBE_PROXY:
            return process
        return attrs.evolve(
            process,
            mode=process.mode or (logged.mode if logged else ""),
            version=process.version or (logged.version if logged else ""),
            configuration=configured,
        )

    def _versions(self) -> Mapping[str, str] | None:
        kernels = [kernel_shown(text)[1] for _, text in self._texts(Holds.KERNEL)]
        return {"kernel": kernels[0]} if kernels and kernels[0] else None


def _agreed(logs: Iterable[str]) -> Process | None:
    """What logs of kube-proxy say of it where they agree, without what it was told on one node.

    A server of Rancher's keeps the logs of all nodes, and any node those from before an upgrade.
    """
    found = [log for text in logs if (log := kube_proxy_logged(text)) is not None]
    versions = {log.version for log in found if log.version}
    modes = {log.mode for log in found if log.mode}
    version = versions.pop() if len(versions) == 1 else ""
    mode = modes.pop() if len(modes) == 1 else ""
    return Process(KUBE_PROXY, mode=mode, version=version) if mode or version else None


def _in_json(text: str) -> str:
    """The name in what troubleshoot says of a host."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    name = value.get("name") if isinstance(value, dict) else None
    return host_named(name) if isinstance(name, str) else ""
