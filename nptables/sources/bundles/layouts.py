"""The table of layouts: by which members a bundle is known, and what each of them holds.

A layout is known by paths within it, whatever the archive or the folder around it is called. The
names are those that the collectors give; docs/bundles.md says which versions of them.
"""

from __future__ import annotations

import re
from enum import Enum

from nptables.immutable import frozen


class Holds(Enum):
    """What a member holds; the value is what a message calls it."""

    DUMP = "what iptables-save printed"
    LISTING = "what iptables -L printed"
    NFT = "what nft list ruleset printed"
    LEGACY_NAMES = "which legacy tables there are"
    OUTPUT = "what a command printed"
    COMMAND = "which command that was"
    ADDRESSES = "interfaces"
    ROUTES = "routes"
    SETTINGS = "sysctls"
    HOSTNAME = "the name of the node"
    KERNEL = "the kernel"
    PROCESSES = "processes"
    SETS = "sets of addresses"
    CONNECTIONS = "connections"
    LOG = "the log of kube-proxy"
    CONFIGURATION = "the configuration of kube-proxy"
    DATE = "the time"
    OBJECTS = "objects"
    OBJECTS_DATE = "the time of objects"


@frozen
class Part:
    """A pattern for paths within a bundle, and what such members hold.

    Groups that a pattern may have: `six` for IPv6, `table` for that of a listing, `node` for the
    node that it is of, `ns` for the namespace and `kinds` for the plural of the objects' kind.
    Of several members that say the same, the one that comes first in the table is read.
    """

    pattern: re.Pattern[str]
    holds: Holds
    table: str = ""
    family: str = ""


@frozen
class Layout:
    """A way of arranging files: where a path fits each pattern of `known_by`, it is this one."""

    name: str
    known_by: tuple[re.Pattern[str], ...]
    parts: tuple[Part, ...]


def _part(pattern: str, holds: Holds, table: str = "", family: str = "") -> Part:
    return Part(re.compile(pattern), holds, table, family)


def _layout(name: str, known_by: tuple[str, ...], *parts: Part) -> Layout:
    return Layout(name, tuple(map(re.compile, known_by)), parts)


# The plurals of kinds that decide rules, as folders and files of objects are called.
KINDS = {
    "services": ("v1", "Service"),
    "endpoints": ("v1", "Endpoints"),
    "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"),
    "endpoint-slices": ("discovery.k8s.io/v1", "EndpointSlice"),
    "pods": ("v1", "Pod"),
    "nodes": ("v1", "Node"),
    "configmaps": ("v1", "ConfigMap"),
}
_CORE = "services|endpoints|pods"
_NS = r"(?P<ns>[a-z0-9][a-z0-9-]*)"
_TEXT = r"(?:ya?ml|json)"
# Collisions of names in a sos report get a number; a command that was cut off is `.tailed`.
_AGAIN = r"(?:\.\d+)?"
_SOS = r"sos_commands/(?:firewall_tables|networking)/"
_LOG = r"(?:[^/]*/)?[^/]*kube-proxy[^/]*"

CLUSTER_INFO = _layout(
    "kubectl cluster-info dump",
    (rf"nodes\.{_TEXT}", rf"{_NS}/services\.{_TEXT}", rf"{_NS}/pods\.{_TEXT}"),
    _part(rf"(?P<kinds>nodes)\.{_TEXT}", Holds.OBJECTS),
    _part(rf"{_NS}/(?P<kinds>{_CORE}|endpointslices|configmaps)\.{_TEXT}", Holds.OBJECTS),
)
LAYOUTS: tuple[Layout, ...] = (
    _layout(
        "sos report",
        (r"sos_commands/.+",),
        _part(rf"{_SOS}ip(?P<six>6?)tables-save(?:_-c)?{_AGAIN}", Holds.DUMP),
        _part(rf"{_SOS}ip(?P<six>6?)tables_-vnxL{_AGAIN}", Holds.LISTING, "filter"),
        _part(
            rf"{_SOS}ip(?P<six>6?)tables_-t_(?P<table>[a-z]+)_-(?:nvL|vnxL|nvxL){_AGAIN}",
            Holds.LISTING,
        ),
        _part(rf"{_SOS}nft_(?:-a_)?list_ruleset{_AGAIN}", Holds.NFT),
        _part(r"proc/(?:\d+/)?net/ip(?P<six>6?)_tables_names", Holds.LEGACY_NAMES),
        _part(rf"sos_commands/networking/ip_-d_address{_AGAIN}", Holds.ADDRESSES),
        _part(rf"sos_commands/networking/ip_address{_AGAIN}", Holds.ADDRESSES),
        _part(rf"sos_commands/networking/ip_-o_addr{_AGAIN}", Holds.ADDRESSES),
        _part(rf"sos_commands/networking/ifconfig_-a{_AGAIN}", Holds.ADDRESSES),
        _part(rf"sos_commands/networking/ip_route_show_table_all{_AGAIN}", Holds.ROUTES),
        _part(
            rf"sos_commands/networking/ip_-6_route_show_table_all{_AGAIN}",
            Holds.ROUTES,
            family="IPv6",
        ),
        _part(rf"sos_commands/(?:kernel|networking)/sysctl_-a{_AGAIN}", Holds.SETTINGS),
        _part(rf"sos_commands/(?:host|general)/hostname_-f{_AGAIN}", Holds.HOSTNAME),
        _part(rf"sos_commands/(?:host|general)/hostname{_AGAIN}", Holds.HOSTNAME),
        _part(r"(?:hostname|etc/hostname|proc/sys/kernel/hostname)", Holds.HOSTNAME),
        _part(rf"sos_commands/kernel/uname_-a{_AGAIN}", Holds.KERNEL),
        _part(rf"sos_commands/process/ps_auxwww{_AGAIN}", Holds.PROCESSES),
        _part(rf"sos_commands/process/ps_aux[w]*{_AGAIN}", Holds.PROCESSES),
        _part(rf"sos_commands/[^/]+/ipset_(?:save|list|-L|-S){_AGAIN}", Holds.SETS),
        _part(r"sos_commands/(?:conntrack|networking)/conntrack_-L[^/]*", Holds.CONNECTIONS),
        _part(r"proc/net/nf_conntrack", Holds.CONNECTIONS),
        _part(rf"sos_commands/(?:date|general)/date_--utc{_AGAIN}", Holds.DATE),
        _part(rf"sos_commands/(?:date|general)/date{_AGAIN}", Holds.DATE),
        _part(r"var/log/(?:pods|containers)/" + _LOG, Holds.LOG),
        _part(
            r"sos_commands/(?:kubernetes|openshift)/(?:[^/]+/)*(?:kubectl|oc)_[^/]*get_-o_json_"
            rf"--namespace_{_NS}_(?P<kinds>{_CORE}|endpointslices){_AGAIN}",
            Holds.OBJECTS,
        ),
    ),
    _layout(
        "EKS log collection",
        (r"networking/ip6?tables(?:-(?:save|nat|filter|mangle))?\.txt",),
        _part(r"networking/ip(?P<six>6?)tables-save\.txt", Holds.DUMP),
        _part(
            r"networking/ip(?P<six>6?)tables-(?P<table>nat|filter|mangle|raw)\.txt", Holds.LISTING
        ),
        _part(r"networking/ip(?P<six>6?)tables\.txt", Holds.LISTING, "filter"),
        _part(r"networking/nft[^/]*\.txt", Holds.NFT),
        _part(r"networking/(?:ip-?addr(?:ess)?|ifconfig)\.txt", Holds.ADDRESSES),
        _part(r"networking/iproute\.txt", Holds.ROUTES),
        _part(r"networking/ip6route\.txt", Holds.ROUTES, family="IPv6"),
        _part(r"sysctls/sysctl_all\.txt", Holds.SETTINGS),
        _part(r"system/hostname\.txt", Holds.HOSTNAME),
        _part(r"kernel/uname\.txt", Holds.KERNEL),
        _part(r"system/instance-id\.txt", Holds.HOSTNAME),
        _part(r"system/ps\.txt", Holds.PROCESSES),
        _part(r"networking/ipset\.txt", Holds.SETS),
        _part(r"networking/conntrack6?\.txt", Holds.CONNECTIONS),
        _part(r"var_log/" + _LOG + r"/?(?:[^/]+/)*[^/]*\.log", Holds.LOG),
        _part(r"kubelet/kube-?proxy[^/]*\.(?:ya?ml|conf|txt)", Holds.CONFIGURATION),
    ),
    _layout(
        "Rancher log collection",
        (r"networking/(?:ip6?tables(?:save|nat|mangle|)|nft_ruleset)",),
        _part(r"networking/ip(?P<six>6?)tablessave", Holds.DUMP),
        _part(r"networking/ip(?P<six>6?)tables(?P<table>nat|mangle|filter|raw)", Holds.LISTING),
        _part(r"networking/ip(?P<six>6?)tables", Holds.LISTING, "filter"),
        _part(r"networking/nft_ruleset", Holds.NFT),
        _part(r"networking/ipaddrshow", Holds.ADDRESSES),
        _part(r"networking/ifconfiga", Holds.ADDRESSES),
        _part(r"networking/iproute", Holds.ROUTES),
        _part(r"networking/ipv6route", Holds.ROUTES, family="IPv6"),
        _part(r"networking/ipset(?:save|list|)", Holds.SETS),
        _part(r"(?:networking|systeminfo)/conntrack(?:list|l)?", Holds.CONNECTIONS),
        _part(r"systeminfo/sysctla", Holds.SETTINGS),
        _part(r"systeminfo/hostname", Holds.HOSTNAME),
        _part(r"systeminfo/hostnamefqdn", Holds.HOSTNAME),
        _part(r"systeminfo/uname", Holds.KERNEL),
        _part(r"systeminfo/ps", Holds.PROCESSES),
        _part(r"systeminfo/date", Holds.DATE),
        _part(r"(?:k8s|rke|rke2|k3s|kubeadm)/(?:containerlogs|podlogs)/" + _LOG, Holds.LOG),
    ),
    _layout(
        "must-gather",
        (
            rf"namespaces/{_NS}/(?:core|discovery\.k8s\.io)/.+|cluster-scoped-resources/core/nodes.+",
        ),
        _part(
            rf"namespaces/{_NS}/core/(?P<kinds>{_CORE}|configmaps)(?:/[^/]+)?\.{_TEXT}",
            Holds.OBJECTS,
        ),
        _part(
            rf"namespaces/{_NS}/discovery\.k8s\.io/(?P<kinds>endpointslices)(?:/[^/]+)?\.{_TEXT}",
            Holds.OBJECTS,
        ),
        _part(
            rf"cluster-scoped-resources/core/(?P<kinds>nodes)(?:/[^/]+)?\.{_TEXT}", Holds.OBJECTS
        ),
        _part(r"timestamp", Holds.OBJECTS_DATE),
    ),
    _layout(
        "troubleshoot support bundle",
        (r"(?:cluster-resources|host-collectors)/.+",),
        _part(
            rf"cluster-resources/(?P<kinds>{_CORE}|endpoint-?slices|configmaps)/{_NS}\.json",
            Holds.OBJECTS,
        ),
        _part(r"cluster-resources/(?P<kinds>nodes)\.json", Holds.OBJECTS),
        _part(r"host-collectors/(?:system/)?(?:[^/]+/)*[^/]*hostos_info\.json", Holds.HOSTNAME),
        _part(r"host-collectors/run-host/[^/]+-info\.json", Holds.COMMAND),
        _part(r"host-collectors/run-host/(?P<node>[^/]+)/[^/]+-info\.json", Holds.COMMAND),
        _part(r"host-collectors/run-host/[^/]+\.txt", Holds.OUTPUT),
        _part(r"host-collectors/run-host/(?P<node>[^/]+)/[^/]+\.txt", Holds.OUTPUT),
        _part(r"host-collectors/(?:[^/]+/)*[^/]*(?:tables|ruleset)[^/]*", Holds.OUTPUT),
        _part(r"[^/]+/(?P<node>[^/]+)/(?:[^/]+/)*[^/]*(?:tables|nft)[^/]*", Holds.OUTPUT),
    ),
    CLUSTER_INFO,
)


def patterns() -> re.Pattern[str]:
    """What fits a path that some layout may need, whatever stands before it."""
    listed = (re.sub(r"\(\?P<\w+>", "(?:", p.pattern.pattern) for la in LAYOUTS for p in la.parts)
    return re.compile(rf"(?:.*/)?(?:{'|'.join(listed)})")
