"""Who handles Services on a node: kube-proxy in one of its modes, another program, or nobody.

Two things are kept apart. A program *is there*: it has chains, an interface or a process. It
*handles Services*: what it has there is what it makes for that alone. Most programs that can
handle Services also do other work, and are mostly used for that: Cilium, Antrea and kube-router
run beside kube-proxy as well as instead of it. And what a program made stays when it is stopped:
kube-proxy's chains do not tell that it runs.

The names are those of the programs' sources: pkg/proxy of Kubernetes; pkg/datapath/iptables of
Cilium; go-controller/pkg/node of OVN-Kubernetes; pkg/agent/route of Antrea; pkg/controllers/proxy
of kube-router; felix/dataplane/linux of Calico.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.evidence.handling import Certainty, Handler, Handling, Sighting
from nptables.evidence.node import Evidence
from nptables.evidence.signs import OF_SERVICE_PORTS, Signs, mode_of
from nptables.words import listed

_NAMED = 3
_ORDER = tuple(Certainty)


def handlers(evidence: Evidence) -> Handling:
    """Who handles Services on the node that evidence is of."""
    return handling(Signs.of(evidence))


def handling(signs: Signs) -> Handling:
    """Who handles Services on a node, by what was found there."""
    found = [each for each in (*_kube_proxies(signs), *_other_programs(signs)) if each is not None]
    # IPVS gets only what the rules of iptables leave. The others may take packets before them.
    acting = {each.who for each in found if each.acts}
    if acting - {Handler.IPTABLES, Handler.IPVS, Handler.KUBE_ROUTER}:
        found = [_doubted(each, signs) for each in found]
    if not signs.runs("kube-proxy") and not acting:
        found = [_without_others(each, signs) for each in found]
    if (nobody := _nobody(signs, found)) is not None:
        found.append(nobody)
    return Handling(tuple(sorted(found, key=lambda each: _ORDER.index(each.certainty))))


def _doubted(sighting: Sighting, signs: Signs) -> Sighting:
    """Rules of kube-proxy beside a program that takes packets before them prove nothing."""
    if sighting.who is not Handler.IPTABLES or signs.runs("kube-proxy") or not sighting.acts:
        return sighting
    return attrs.evolve(sighting, certainty=Certainty.POSSIBLE)


def _without_others(sighting: Sighting, signs: Signs) -> Sighting:
    """Who can do the work and is alone there most likely does it.

    That nobody else is there has to be seen: in a whole table nat, or by what runs on the node.
    """
    alone = sighting.who is Handler.CILIUM and sighting.certainty is Certainty.POSSIBLE
    looked = (signs.whole and not signs.has_portal) or (
        not signs.rulesets and signs.processes is not None
    )
    if not (alone and looked):
        return sighting
    told = (*sighting.signs, "no rules of kube-proxy" if signs.rulesets else "no kube-proxy runs")
    return Sighting(sighting.who, Certainty.LIKELY, told)


def _kube_proxies(signs: Signs) -> Iterator[Sighting | None]:
    """kube-proxy in its modes. One that runs has one mode; what is of another mode is left over."""
    modes = {mode_of(process) for process in signs.runs("kube-proxy")} - {""}
    for who, mode, seen in (
        (Handler.IPTABLES, "iptables", _of_iptables(signs)),
        (Handler.IPVS, "ipvs", _of_ipvs(signs)),
        (Handler.NFTABLES, "nftables", _of_nftables(signs)),
    ):
        certainty, told = seen
        if mode in modes:
            yield Sighting(who, Certainty.SURE, (f"kube-proxy runs in mode {mode}", *told))
        elif told:
            yield Sighting(who, Certainty.LEFTOVER if modes else certainty, tuple(told))


Seen = tuple[Certainty, list[str]]


_OF_SERVICE_PORTS = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-")


def _of_iptables(signs: Signs) -> Seen:
    ports = [name for name in signs.chains(_OF_SERVICE_PORTS) if _is_of_service_port(name)]
    told = [_listed(ports, "chain", "chains")] if ports else []
    if signs.of_service_ports:
        return Certainty.LIKELY, told or ["nat KUBE-SERVICES leads to nat KUBE-NODEPORTS"]
    if signs.fragment and ports:
        return Certainty.LIKELY, told
    if signs.of_ipvs:
        told += ["rules in filter KUBE-SERVICES"] * _has_rules(signs, "filter", "KUBE-SERVICES")
    elif signs.has_portal:
        return Certainty.LIKELY, [*told, "hooks lead to nat KUBE-SERVICES"]
    return Certainty.LEFTOVER, told


def _is_of_service_port(name: str) -> bool:
    return OF_SERVICE_PORTS.fullmatch(name.partition(" ")[2]) is not None


def _has_rules(signs: Signs, table: str, chain: str) -> bool:
    return any(ruleset.lines(table, chain) for ruleset in signs.rulesets)


def _of_ipvs(signs: Signs) -> Seen:
    told = []
    if signs.of_ipvs:
        told.append("nat KUBE-SERVICES uses the sets of mode ipvs")
    told += [f"chain {name}" for name in signs.chains("KUBE-IPVS-")]
    told += [
        f"chain {name}"
        for name in (*signs.chains("KUBE-NODE-PORT"), *signs.chains("KUBE-LOAD-BALANCER"))
        if name.startswith("nat ")
    ]
    interface = signs.has_interface("kube-ipvs0")
    told += [f"interface {name}" for name in interface]
    sets = [*signs.has_set("KUBE-CLUSTER-IP"), *signs.has_set("KUBE-6-CLUSTER-IP")]
    told += [f"set {name}" for name in sets]
    # The interface alone proves nothing: a stopped kube-proxy leaves it, with all its addresses.
    if interface and signs.servers:
        return Certainty.SURE, [*told, "the kernel's IPVS has virtual servers"]
    if signs.servers is False or not told:
        return Certainty.LEFTOVER, told
    if signs.of_ipvs:
        return Certainty.LIKELY, told
    if signs.rulesets and not signs.fragment:
        # KUBE-SERVICES is written anew by whichever mode runs, and this was not mode ipvs. The
        # addresses of the interface stay, and with them the virtual servers may.
        held = set(interface) & signs.addressed
        return (Certainty.POSSIBLE if held else Certainty.LEFTOVER), told
    return (Certainty.LIKELY if interface else Certainty.POSSIBLE), told


def _of_nftables(signs: Signs) -> Seen:
    found = [name for name in sorted(signs.tables or ()) if name.endswith(" kube-proxy")]
    return Certainty.LIKELY, [f"nft table {name}" for name in found]


def _other_programs(signs: Signs) -> Iterator[Sighting | None]:
    yield _cilium(signs)
    yield _ovn_kubernetes(signs)
    yield _antrea(signs)
    yield _kube_router(signs)
    yield _calico(signs)


def _cilium(signs: Signs) -> Sighting | None:
    """Cilium; only what its agent was told shows that it replaces kube-proxy."""
    told = [_listed(found, "chain", "chains")] if (found := signs.chains("CILIUM_")) else []
    told += [f"interface {name}" for name in signs.has_interface("cilium_host", "cilium_net")]
    agents = signs.runs("cilium-agent")
    if agents:
        told.append("cilium-agent runs")
    for agent in agents:
        for word in agent.arguments:
            option, _, value = word.partition("=")
            # Before Cilium 1.14 it was called `strict`.
            if option == "--kube-proxy-replacement" and value in ("true", "strict"):
                return Sighting(Handler.CILIUM, Certainty.SURE, (*told, f"with {word}"))
    return Sighting(Handler.CILIUM, Certainty.POSSIBLE, tuple(told)) if told else None


def _ovn_kubernetes(signs: Signs) -> Sighting | None:
    """OVN-Kubernetes, which never runs without handling Services."""
    found = signs.chains("OVN-KUBE-")
    told = [_listed(found, "chain", "chains")] if found else []
    told += [f"interface {name}" for name in signs.has_interface("ovn-k8s-mp0")]
    told += ["nft table inet ovn-kubernetes"] * ("inet ovn-kubernetes" in (signs.tables or ()))
    running = signs.runs("ovnkube", "ovnkube-node")
    if running:
        return Sighting(Handler.OVN_KUBERNETES, Certainty.SURE, (*told, f"{running[0].name} runs"))
    return Sighting(Handler.OVN_KUBERNETES, Certainty.LIKELY, tuple(told)) if told else None


def _antrea(signs: Signs) -> Sighting | None:
    """Antrea: node ports are its own only with proxyAll, which has a set of their addresses."""
    every = list(signs.lines_with("--match-set ANTREA-NODEPORT-IP", "ANTREA-"))
    sets = signs.has_set("ANTREA-NODEPORT-IP")
    if every or sets:
        told = ["rules for the set ANTREA-NODEPORT-IP of proxyAll"] if every else []
        told += [f"set {name} of proxyAll" for name in sets if not every]
        return Sighting(Handler.ANTREA, Certainty.LIKELY, tuple(told))
    told = [_listed(found, "chain", "chains")] if (found := signs.chains("ANTREA-")) else []
    told += [f"interface {name}" for name in signs.has_interface("antrea-gw0")]
    told += ["antrea-agent runs"] * bool(signs.runs("antrea-agent"))
    return Sighting(Handler.ANTREA, Certainty.POSSIBLE, tuple(told)) if told else None


def _kube_router(signs: Signs) -> Sighting | None:
    """kube-router's service proxy; its other chains and kube-bridge are of its other work."""
    told = [f"chain {name}" for name in signs.chains("KUBE-ROUTER-SERVICES")]
    told += [f"chain {name}" for name in signs.chains("KUBE-ROUTER-HAIRPIN")]
    told += [f"interface {name}" for name in signs.has_interface("kube-dummy-if")]
    told += [f"set {name}" for name in signs.has_set("kube-router-svip")[:1]]
    if not told:
        return None
    certainty = Certainty.LEFTOVER if signs.servers is False else Certainty.LIKELY
    return Sighting(Handler.KUBE_ROUTER, certainty, tuple(told))


def _calico(signs: Signs) -> Sighting | None:
    """Calico's eBPF data plane, which always handles Services."""
    told = [f"interface {name}" for name in signs.has_interface("bpfin.cali", "bpfout.cali")]
    approved = any(True for _ in signs.lines_with("Pre-approved by BPF programs", "cali-"))
    told += ["rules for packets that BPF programs have approved"] * approved
    return Sighting(Handler.CALICO, Certainty.LIKELY, tuple(told)) if told else None


def _nobody(signs: Signs, found: list[Sighting]) -> Sighting | None:
    """That nobody handles Services: none of those that are known was seen where it would be."""
    if not signs.whole or any(each.certainty is not Certainty.LEFTOVER for each in found):
        return None
    told = ["no rule of nat leads to Services"]
    if of_kubernetes := _of_kubernetes(signs):
        told.append(f"though it is a node of a cluster ({of_kubernetes})")
    # Each of the handlers that are known shows in one of these three.
    looked = None not in (signs.interfaces, signs.tables, signs.processes)
    return Sighting(Handler.NOBODY, Certainty.LIKELY if looked else Certainty.POSSIBLE, tuple(told))


# What a node of a cluster has, whoever handles Services: the kubelet's chains, those of networks
# of Pods. Podman has chains of CNI too, and KUBE-FIREWALL stays where a node leaves its cluster.
_KUBELETS = ("KUBE-KUBELET-", "KUBE-IPTABLES-HINT")
_OF_NETWORKS = ("FLANNEL-", "cali-", "WEAVE-NPC", "KUBE-NWPLCY-", "KUBE-ROUTER-")


def _of_kubernetes(signs: Signs) -> str:
    found = [name for beginning in (*_KUBELETS, *_OF_NETWORKS) for name in signs.chains(beginning)]
    names = list(dict.fromkeys(name.partition(" ")[2] for name in found))
    return _listed(names, "chain", "chains") if names else ""


def _listed(names: list[str], one: str, many: str) -> str:
    if len(names) == 1:
        return f"{one} {names[0]}"
    return f"{many} {listed(names, _NAMED)}"
