"""The text that deploy/snapshot.sh prints, which has what a snapshot has.

Every marker begins with a random number that the first line names: nothing within a section can
look like one. What the shell leaves to whoever reads it is done here: choosing among readings,
taking addresses from /proc, leaving out what is secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, SaveSyntaxError, printable
from nptables.evidence.native import is_native
from nptables.evidence.node import Bridge, Evidence, Form, Gap, Process, RecentList, Unread
from nptables.evidence.other_rules import NATIVE
from nptables.evidence.proc import interfaces_of_proc, routes_of_proc
from nptables.evidence.processes import settings_of
from nptables.evidence.secrets import without_secrets
from nptables.evidence.sections import Section, is_marked, read_sections
from nptables.evidence.settings import knows_random_fully
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.dumps import read_dumps
from nptables.model import NodeFacts
from nptables.model.addresses import parse_network_sloppy
from nptables.translation.fixed import INVALID_DROPPED
from nptables.translation.flows import Flow, listed_flows
from nptables.translation.service_port import ACCEPTED_ON_LOCALHOST

_COUNT = "net/netfilter/nf_conntrack_count"
_PROMISCUOUS = 0x100  # IFF_PROMISC of linux/if.h
_BUILD = re.compile(r'\bgit_version="(v[0-9][^"\n]{0,60})"')
_COUNTERS = (INVALID_DROPPED, ACCEPTED_ON_LOCALHOST)

ReadYaml = Callable[[str], Any]

__all__ = ["from_marked", "is_marked"]


def from_marked(text: str, read_yaml: ReadYaml | None = None) -> Evidence:
    """What a text says of a node.

    `read_yaml` gives what the text of kube-proxy's configuration says, or None; without it only
    JSON is read. Raises InvalidInput where the text is none of deploy/snapshot.sh.
    """
    sections, whole = read_sections(text)
    gaps = []
    if not whole:
        last = f", behind {printable(sections[-1].name)}" if sections else ""
        gaps.append(Gap("the end of the text", f"it is cut off{last}: take it again"))
    return _Reading(sections, gaps, read_yaml).evidence()


class _Reading:
    """Puts the sections together."""

    def __init__(
        self, sections: list[Section], gaps: list[Gap], read_yaml: ReadYaml | None
    ) -> None:
        self.sections = sections
        self.read_yaml = read_yaml
        self.gaps = gaps
        self.gaps += [Gap(s.name[4:], s.text) for s in sections if s.name.startswith("gap ")]

    def evidence(self) -> Evidence:
        """All of it."""
        rulesets = tuple(sorted(self._rulesets(), key=_place))
        settings = dict(self._pairs("sysctls"))
        count = settings.pop(_COUNT, "")
        return Evidence(
            Form.SNAPSHOT,
            rulesets=rulesets,
            unread=tuple(self._unread(rulesets)),
            node=self._text("node").strip(),
            taken=self._text("taken").strip(),
            facts=self._facts(settings),
            sysctls=settings if self._has("sysctls") else None,
            ipset=self._said("ipset", "ipset"),
            native=self._native(),
            bridges=self._bridges(),
            recent=self._recent(),
            recent_limit=_number(self._text("recent-limit")),
            flows=self._flows(),
            connections=_number(count),
            processes=self._processes(),
            versions=dict(self._versions()),
            gaps=tuple(self.gaps),
        )

    def _all(self, name: str) -> list[Section]:
        return [section for section in self.sections if section.name == name]

    def _has(self, name: str) -> bool:
        return any(section.name == name for section in self.sections)

    def _text(self, name: str) -> str:
        """What a section holds, if it is there and ended well."""
        return next((s.text for s in self._all(name) if not s.code), "")

    def _said(self, name: str, what: str) -> str | None:
        """The same; None, and a gap, where its program failed."""
        section = next(iter(self._all(name)), None)
        if section is None:
            return None
        if not section.code:
            return section.text
        self._failed(what, section)
        return None

    def _failed(self, what: str, section: Section) -> None:
        said = printable(self._text(f"said {section.name}").strip(), 600)
        self.gaps.append(Gap(what, said or f"exit code {section.code}"))

    def _pairs(self, name: str) -> Iterator[tuple[str, str]]:
        for line in self._text(name).splitlines():
            key, _, value = line.partition(" ")
            if key:
                yield key, value.strip()

    def _rulesets(self) -> Iterator[Ruleset]:
        for section in self.sections:
            kind, _, words = section.name.partition(" ")
            backend, _, name = words.partition(" ")
            family = next((f for f in Family if f.value == name), None)
            if kind != "tables" or family is None:
                continue
            what = f"{name} {backend} tables".replace(" - ", " ")
            if section.code:
                self._failed(what, section)
                continue
            try:
                yield self._ruleset(section.text, family, "" if backend == "-" else backend, what)
            except SaveSyntaxError as error:
                why = f"they changed while they were read, or are cut off: {error}"
                self.gaps.append(Gap(what, why))

    def _ruleset(self, text: str, family: Family, backend: str, what: str) -> Ruleset:
        read = Ruleset.from_save(text, family=family)
        if not backend:
            backend = read_dumps(text, family)[0].backend
        for table in read.remarks.unreadable:
            self.gaps.append(Gap(what, f"iptables cannot print all of the table {table}"))
        if read.remarks.cut_off:
            self.gaps.append(Gap(what, "the program ended in the middle"))
        return attrs.evolve(read, backend=backend)

    def _unread(self, rulesets: tuple[Ruleset, ...]) -> Iterator[Unread]:
        """Tables that are there and were not printed, as far as the text shows."""
        for family in Family:
            read = {ruleset.backend for ruleset in rulesets if ruleset.family is family}
            names = tuple(self._text(f"legacy-names {family.value}").split())
            chains = tuple(self._chains_of_iptables("ip" if family is Family.IPV4 else "ip6"))
            for backend, there in (("legacy", names), ("nft", chains)):
                if there and not read & {backend, ""}:
                    yield Unread(backend, family, there)

    def _chains_of_iptables(self, nft_family: str) -> Iterator[str]:
        for section in self._all("nft-chain"):
            for entry in self._objects(section):
                chain = entry.get("chain", {})
                if chain.get("family") == nft_family and "hook" in chain:
                    yield f"{chain.get('table')} {chain.get('name')}"

    def _facts(self, settings: Mapping[str, str]) -> NodeFacts | None:
        found: dict[str, Any] = {}
        if (liberal := settings.get("net/netfilter/nf_conntrack_tcp_be_liberal")) is not None:
            # Any value but 0 counts, as for kube-proxy (`NewProxier` in
            # pkg/proxy/iptables/proxier.go).
            found["tcpBeLiberal"] = liberal not in ("", "0")
        # kube-proxy calls plain iptables; the others are asked where a node has no such name.
        for tool in ("iptables", "iptables-nft", "iptables-legacy"):
            knows = knows_random_fully(self._text(f"version {tool}"))
            if knows is not None:
                found["randomFully"] = knows
                break
        if (listed := self._said("nfacct", "nfacct counters")) is not None:
            found["nfacct"] = all(re.search(rf"= {name};", listed) for name in _COUNTERS)
        found |= self._network()
        try:
            return NodeFacts.from_mapping(found)
        except InvalidInput as error:
            self.gaps.append(Gap("interfaces and routes", printable(str(error))))
            return None

    def _network(self) -> dict[str, Any]:
        if self._has("addresses"):
            addresses, routes, routes6 = (
                self._json(name, "interfaces and routes")
                for name in ("addresses", "routes", "routes6")
            )
            found: dict[str, Any] = {} if addresses is None else {"interfaces": addresses}
            if routes is not None and routes6 is not None:
                # An empty object stands for a route that is not shown.
                found["routes"] = [route for route in (*routes, *routes6) if route]
            return found
        if not (self._has("fib_trie") or self._has("if_inet6")):
            return {}
        routes = routes_of_proc(self._text("route"), self._text("ipv6_route"))
        interfaces = interfaces_of_proc(
            self._text("interfaces").splitlines(),
            self._text("fib_trie"),
            self._text("if_inet6"),
            routes,
        )
        return {"interfaces": interfaces, "routes": routes}

    def _json(self, name: str, what: str) -> list[Any] | None:
        text = self._said(name, what)
        if text is None:
            return None
        try:
            listed = json.loads(text or "[]", strict=False)
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list):
            self.gaps.append(Gap(what, f"{name}: no JSON list"))
            return None
        return listed

    def _native(self) -> tuple[Mapping[str, Any], ...] | None:
        if not self._has("nft-listed"):
            return None
        found: list[Mapping[str, Any]] = []
        for section in self.sections:
            if section.name == "nft-chain":
                rules = (entry for entry in self._objects(section) if "rule" in entry)
                found += [entry for entry in rules if is_native(entry["rule"])]
            elif section.name.startswith("nft-table "):
                found += self._objects(section)
        return tuple(found)

    def _objects(self, section: Section) -> list[Mapping[str, Any]]:
        if section.code and section.name == "nft-chain":
            # There is no such chain.
            return []
        if section.code:
            self._failed(NATIVE, section)
            return []
        try:
            listed = json.loads(section.text)["nftables"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.gaps.append(Gap(NATIVE, f"{printable(section.name)}: no JSON"))
            return []
        return [
            entry
            for entry in (listed if isinstance(listed, list) else ())
            if isinstance(entry, dict)
            and "metainfo" not in entry
            and all(isinstance(value, dict) for value in entry.values())
        ]

    def _bridges(self) -> tuple[Bridge, ...] | None:
        if not self._has("bridges"):
            return None
        interfaces = self._network_addresses()
        ports: dict[str, list[str]] = {}
        for line in self._text("bridges").splitlines():
            fields = line.split(" ")
            if len(fields) != 4:
                continue
            bridge, flags, hairpin, port = fields
            silent = hairpin == "0" and not _hexadecimal(flags) & _PROMISCUOUS
            ports.setdefault(bridge, []).extend([port] * silent)
        return tuple(
            Bridge(
                name,
                tuple(n for a in interfaces.get(name, ()) if (n := parse_network_sloppy(a))),
                tuple(sorted(without)),
            )
            for name, without in sorted(ports.items())
        )

    def _network_addresses(self) -> Mapping[str, tuple[str, ...]]:
        gaps = list(self.gaps)
        try:
            return NodeFacts.from_mapping(self._network()).interfaces or {}
        except InvalidInput:
            return {}
        finally:
            self.gaps = gaps

    def _recent(self) -> tuple[RecentList, ...] | None:
        if not self._has("recent"):
            return None
        lines = (line.partition(" ") for line in self._text("recent").splitlines())
        return tuple(
            RecentList(name, int(size))
            for size, _, name in lines
            if name and _number(size) is not None
        )

    def _flows(self) -> tuple[Flow, ...] | None:
        found: list[Flow] = []
        for family in Family:
            name = f"flows {family.value}"
            if not self._has(name):
                return None
            said = self._text(f"said {name}")
            # `conntrack -L` may end well and say on standard error that it could not read all.
            if "Operation failed" in said or any(s.code for s in self._all(name)):
                self.gaps.append(Gap(f"{family.value} UDP connections", printable(said.strip())))
                return None
            found += listed_flows(self._text(name), family)
        return tuple(found)

    def _processes(self) -> tuple[Process, ...] | None:
        found = []
        for section in self.sections:
            kind, _, words = section.name.partition(" ")
            pid, _, name = words.partition(" ")
            number = _number(pid)
            if kind != "process" or number is None:
                continue
            # One line each; the shell has put \001 for line ends within one.
            lines = section.text.split("\n") if section.text else []
            arguments = without_secrets([line.replace("\1", "\n") for line in lines])
            # Its other commands only look, the one that takes this snapshot too.
            if name == "nptables" and "run" not in arguments:
                continue
            mode = self._text(f"mode {pid}").strip()
            build = _BUILD.search(self._text(f"build {pid}"))
            found.append(
                Process(
                    name,
                    number,
                    arguments,
                    self._configuration(pid),
                    mode if mode.isascii() and mode.isalpha() else "",
                    "" if build is None else build[1],
                )
            )
        if not self._has("processes-listed"):
            return tuple(found) or None
        return tuple(sorted(found, key=lambda process: process.pid))

    def _configuration(self, pid: str) -> Mapping[str, Any] | None:
        if not self._has(f"configuration {pid}"):
            return None
        text = self._text(f"configuration {pid}")
        read = self.read_yaml or _read_json
        found = settings_of(read(text))
        if found is None:
            self.gaps.append(Gap("the configuration of kube-proxy", "it could not be read"))
        return found

    def _versions(self) -> Iterator[tuple[str, str]]:
        if kernel := self._text("kernel").strip():
            yield "kernel", kernel
        for section in self.sections:
            kind, _, tool = section.name.partition(" ")
            if kind == "version" and not section.code and section.text.strip():
                yield tool, section.text.strip().splitlines()[0]


def _place(ruleset: Ruleset) -> tuple[bool, str]:
    """IPv4 comes first, and legacy before nft."""
    return ruleset.family is Family.IPV6, ruleset.backend


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
