"""Programs that may handle Services on a node, and what was seen of them: see `handlers`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from nptables.immutable import frozen


class Handler(Enum):
    """Who may handle Services; the value is a stable code."""

    IPTABLES = "kube-proxy-iptables"
    IPVS = "kube-proxy-ipvs"
    NFTABLES = "kube-proxy-nftables"
    CILIUM = "cilium"
    OVN_KUBERNETES = "ovn-kubernetes"
    ANTREA = "antrea"
    KUBE_ROUTER = "kube-router"
    CALICO = "calico-ebpf"
    NOBODY = "nobody"

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return _WORDS[self]

    @property
    def ask(self) -> str:
        """The command that shows what it does with Services; empty where there is none."""
        return _COMMANDS.get(self, "")

    @property
    def behind_rules(self) -> bool:
        """Whether it gets only the packets that the rules of iptables leave untranslated.

        IPVS is asked where packets are delivered to the node itself, behind table nat of
        PREROUTING and OUTPUT (`ip_vs_ops` in net/netfilter/ipvs/ip_vs_core.c).
        """
        return self in (Handler.IPVS, Handler.KUBE_ROUTER)


_WORDS = {
    Handler.IPTABLES: "kube-proxy in mode iptables",
    Handler.IPVS: "kube-proxy in mode ipvs",
    Handler.NFTABLES: "kube-proxy in mode nftables",
    Handler.CILIUM: "Cilium",
    Handler.OVN_KUBERNETES: "OVN-Kubernetes",
    Handler.ANTREA: "Antrea's proxy",
    Handler.KUBE_ROUTER: "kube-router's service proxy",
    Handler.CALICO: "Calico's eBPF data plane",
    Handler.NOBODY: "nobody",
}
_COMMANDS = {
    Handler.IPVS: "ipvsadm -Ln",
    Handler.NFTABLES: "nft list table ip kube-proxy",
    Handler.CILIUM: "cilium-dbg service list",
    Handler.OVN_KUBERNETES: "ovn-nbctl lb-list",
    Handler.ANTREA: "antctl get ovsflows -T EndpointDNAT",
    Handler.KUBE_ROUTER: "ipvsadm -Ln",
    Handler.CALICO: "calico-node -bpf nat dump",
}


class Certainty(Enum):
    """How sure it is that a program handles Services; the value is a stable code.

    SURE: it runs and says so. LIKELY: what only its handling of Services makes is there. POSSIBLE:
    it is there, and may be there for other work. LEFTOVER: what it made is still there, and
    nothing leads to it or somebody else does the work.
    """

    SURE = "sure"
    LIKELY = "likely"
    POSSIBLE = "possible"
    LEFTOVER = "leftover"


@frozen
class Sighting:
    """One program, how sure it is that it handles Services, and what was seen of it, in words."""

    who: Handler
    certainty: Certainty
    signs: tuple[str, ...]

    @property
    def acts(self) -> bool:
        """Whether it handles Services as far as anybody can tell."""
        return self.certainty in (Certainty.SURE, Certainty.LIKELY)

    @property
    def seen(self) -> str:
        """The signs as one text."""
        return ", ".join(self.signs)

    def to_json(self) -> dict[str, Any]:
        """The sighting as plain data."""
        return {
            "who": self.who.value,
            "certainty": self.certainty.value,
            "signs": list(self.signs),
        }


@frozen
class Handling:
    """Everybody who handles Services on a node, or may, or once did, the surest first."""

    sightings: tuple[Sighting, ...] = ()

    def of(self, who: Handler) -> Sighting | None:
        """What was seen of one."""
        return next((each for each in self.sightings if each.who is who), None)

    @property
    def acting(self) -> tuple[Sighting, ...]:
        """Those that handle Services as far as anybody can tell."""
        return tuple(each for each in self.sightings if each.acts)

    @property
    def others(self) -> tuple[Sighting, ...]:
        """Those of them that are not kube-proxy in mode iptables; nobody is none of them."""
        rules = (Handler.IPTABLES, Handler.NOBODY)
        return tuple(each for each in self.acting if each.who not in rules)

    @property
    def possible(self) -> tuple[Sighting, ...]:
        """Those that may, beside or instead of the others; nobody is none of them."""
        return tuple(
            each
            for each in self.sightings
            if each.certainty is Certainty.POSSIBLE and each.who is not Handler.NOBODY
        )

    @property
    def by_iptables(self) -> bool | None:
        """Whether the rules of iptables are what handles Services; None where that is unknown."""
        iptables = any(each.who is Handler.IPTABLES for each in self.acting)
        if self.others:
            return None if iptables else False
        return True if iptables else None

    def sentence(self, node: str) -> str:
        """Who handles Services there, in a sentence; empty where nobody was seen to."""
        if not self.acting:
            return ""
        sure = all(each.certainty is Certainty.SURE for each in self.acting)
        whom = " and ".join(f"{each.who.words} ({each.seen})" for each in self.acting)
        return f"Services on {node} are {'' if sure else 'probably '}handled by {whom}"

    def instead(self, node: str) -> str:
        """Why rules of kube-proxy's iptables mode are not what counts there; empty where they are.

        For whoever would compare those rules, or write them: the words say who does the work.
        """
        if self.by_iptables is not False:
            return ""
        found = f"{self.sentence(node)}, not by the rules of mode iptables"
        return f"{found} ({asking(self.others, node)})"

    def to_json(self) -> list[dict[str, Any]]:
        """The sightings as plain data."""
        return [sighting.to_json() for sighting in self.sightings]


def asking(sightings: Iterable[Sighting], node: str) -> str:
    """The commands that show what some do with Services on a node, as a sentence."""
    asked = dict.fromkeys(each.who.ask for each in sightings if each.who.ask)
    commands = " and ".join(f"`{command}`" for command in asked)
    return f"{commands} on {node} {'tell' if len(asked) > 1 else 'tells'}"


def is_of_a_cluster(found: Sighting) -> bool:
    """Whether nobody was seen to handle Services on what is a node of a cluster all the same."""
    return found.who is Handler.NOBODY and len(found.signs) > 1
