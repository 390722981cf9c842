"""What somebody has of a node, whatever form it came in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.model import NodeFacts

if TYPE_CHECKING:
    from nptables.translation.flows import Flow


class Form(Enum):
    """How evidence was written down; the value is what a message calls it."""

    SNAPSHOT = "snapshot"
    SAVED = "dump"
    FRAGMENT = "fragment"
    LISTING = "listing"


@frozen
class Gap:
    """Something that could not be read, or that the form has no words for, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@frozen
class Process:
    """A program that runs on the node and may handle Services, such as kube-proxy.

    `name` is the program's, `arguments` its command line behind it without anything secret.
    `configuration` is the file that its `--config` names, without anything secret. `mode` and
    `version` are what it says of itself, or empty. Without a `pid` only its ports were seen.
    """

    name: str
    pid: int = 0
    arguments: tuple[str, ...] = ()
    configuration: Mapping[str, Any] | None = None
    mode: str = ""
    version: str = ""


@frozen
class Unread:
    """Tables of a backend that are there and that could not be read, or were not asked for.

    `chains` are those of them at a hook, such as `filter INPUT`, or just the tables.
    """

    backend: str
    family: Family
    chains: tuple[str, ...] = ()


@frozen
class RecentList:
    """How many addresses a list of the `recent` match holds."""

    name: str
    size: int


@frozen
class Bridge:
    """A bridge: the networks of its addresses, and its ports whose hairpin mode is off.

    A bridge in promiscuous mode sends packets back without hairpin mode, and has no such ports.
    """

    name: str
    networks: tuple[str, ...] = ()
    without_hairpin: tuple[str, ...] = ()


@frozen
class Evidence:
    """What is known of a node, in whatever form it was given.

    `rulesets` are the tables of each backend and family that was read: at most two of a family,
    and with two their `backend` is known. A field that is None, or a table that is missing, was not
    read, and nothing may be concluded from that. `gaps` says what failed and why, and what the form
    cannot show. `unread` are tables that packets pass and that are not among the rulesets.

    `node` is the node's own name for itself, `aliases` are other names of it, and `taken` is the
    time of the reading (RFC 3339). `sysctls` are by their path below /proc/sys. `ipset` is the
    output of `ipset save`. `native` are objects of `nft -j list ruleset`: the tables that are not
    those of iptables, and native rules in those that are. `recent_limit` is how many addresses a
    list can hold (`ip_list_tot`). `flows` are the node's UDP connections, `connections` is the
    number of all connections. `processes` are programs that may handle Services, `versions` those
    of the kernel and of tools.
    """

    form: Form
    rulesets: tuple[Ruleset, ...] = ()
    unread: tuple[Unread, ...] = ()
    node: str = ""
    aliases: tuple[str, ...] = ()
    taken: str = ""
    facts: NodeFacts | None = None
    sysctls: Mapping[str, str] | None = None
    ipset: str | None = None
    native: tuple[Mapping[str, Any], ...] | None = None
    bridges: tuple[Bridge, ...] | None = None
    recent: tuple[RecentList, ...] | None = None
    recent_limit: int | None = None
    flows: tuple[Flow, ...] | None = None
    connections: int | None = None
    processes: tuple[Process, ...] | None = None
    versions: Mapping[str, str] | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def is_fragment(self) -> bool:
        """Whether it was cut out of something larger, so that any rule may be missing."""
        return self.form is Form.FRAGMENT

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that there are rulesets of, IPv4 first."""
        found = {ruleset.family for ruleset in self.rulesets}
        return tuple(family for family in Family if family in found)

    def with_facts(self, told: NodeFacts) -> Evidence:
        """The evidence with facts that somebody told beside it, which count more than its own."""
        return attrs.evolve(self, facts=told.over(self.facts)) if told.told else self

    def of(self, family: Family) -> tuple[Ruleset, ...]:
        """The rulesets of a family: one, or one for each backend. Raises InvalidInput for none."""
        found = tuple(ruleset for ruleset in self.rulesets if ruleset.family is family)
        if not found:
            here = " and ".join(each.value for each in self.families)
            raise InvalidInput([
                Problem(
                    f"there are no rules of {family.value} in this {self.form.value}",
                    hint=f"it has those of {here}" if here else "it has no tables at all",
                )
            ])  # fmt: skip
        return found
