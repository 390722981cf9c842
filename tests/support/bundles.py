"""Bundles as collectors of logs make them: what the programs print on a node, under their names.

The names and the wrapping follow the collectors' sources; docs/bundles.md says which versions.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.netns import LOCK_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.support.netns import Family, Namespace

Files = dict[str, bytes]
SIX: dict[Family, str] = {"IPV4": "", "IPV6": "6"}
TABLES = ("filter", "nat", "mangle")
HOST = "ip-10-0-0-7"
FQDN = f"{HOST}.ec2.internal"
UNAME = f"Linux {FQDN} 5.10.199-190.747.amzn2.x86_64 #1 SMP Sat Nov 4 16:55:14 UTC 2023 x86_64\n"
DATE = "Sun Nov 29 12:20:00 UTC 2026\n"
PS = """\
USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
root           1  0.0  0.1 170224 13104 ?        Ss   Nov20   1:02 /sbin/init
root        2211  0.1  0.3 748000 41000 ?        Ssl  Nov20   9:41  \\_ /usr/local/bin/kube-proxy \
--config=/var/lib/kube-proxy/config.conf --hostname-override=node
"""
LOG = """\
I1129 12:00:00.000000       1 server.go:652] "Version info" version="v1.29.0"
I1129 12:00:00.100000       1 server_others.go:170] "Using iptables Proxier"
"""
ADDRESSES = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host
       valid_lft forever preferred_lft forever
2: eth0@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default
    link/ether 02:42:0a:00:00:07 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 10.0.0.7/24 brd 10.0.0.255 scope global eth0
       valid_lft forever preferred_lft forever
"""
IFCONFIG = """\
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 9001
        inet 10.0.0.7  netmask 255.255.255.0  broadcast 10.0.0.255
        inet6 fe80::42:aff:fe00:7  prefixlen 64  scopeid 0x20<link>
lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536
        inet 127.0.0.1  netmask 255.0.0.0
"""
ROUTES = """\
default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.7 metric 100
10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.7
blackhole 10.244.9.0/24 proto 80
default via 10.9.0.1 dev eth1 table 2
local 10.0.0.7 dev eth0 table local proto kernel scope host src 10.0.0.7
fe80::/64 dev eth0 proto kernel metric 256 pref medium
unreachable default dev lo metric 4294967295 error -101 pref medium
"""
SETTINGS = "kernel.hostname = ip-10-0-0-7.ec2.internal\nnet.ipv4.ip_forward = 1\n"


@dataclass(frozen=True)
class Node:
    """What the programs print on a node: dumps by family, listings by family and table."""

    dumps: Mapping[Family, str]
    listings: Mapping[tuple[Family, str], str] = field(default_factory=dict)
    exact: Mapping[Family, str] = field(default_factory=dict)
    ruleset: str = ""


def look_at(netns: Namespace, families: Iterable[Family] = ("IPV4", "IPV6")) -> Node:
    """Everything that collectors ask for, of a namespace with tables of the backend."""
    dumps, listings, exact = {}, {}, {}
    for family in families:
        program = netns.program(family)
        dumps[family] = netns.run([f"{program}-save"]).stdout
        for table in TABLES:
            words = [program, "-w", LOCK_WAIT, "-t", table, "-nvL"]
            listings[family, table] = netns.run(words).stdout
        exact[family] = netns.run([program, "-w", LOCK_WAIT, "-vnxL"]).stdout
    return Node(dumps, listings, exact, netns.run(["nft", "list", "ruleset"]).stdout)


def sos(node: Node, *, old: bool = False) -> Files:
    """A sos report; of old ones the rules are among what is about the network."""
    plugin = "sos_commands/networking" if old else "sos_commands/firewall_tables"
    found = {
        f"sos_commands/{'general' if old else 'host'}/hostname": f"{FQDN}\n",
        f"sos_commands/{'general' if old else 'date'}/date": DATE,
        "sos_commands/networking/ip_-o_addr": "1: lo    inet 127.0.0.1/8 scope host lo\\ \n",
        "sos_commands/networking/ip_-d_address": ADDRESSES,
        "sos_commands/networking/ip_route_show_table_all": ROUTES,
        "sos_commands/kernel/sysctl_-a": SETTINGS,
        "sos_commands/kernel/uname_-a": UNAME,
        "sos_commands/process/ps_auxwww": PS,
        "sos_logs/ui.log": "",
        "version.txt": "sosreport: 4.5.6\n",
        "var/log/messages": "Nov 29 12:00:00 x kernel: *nat\n" * 100,
        f"{plugin}/nft_list_ruleset": node.ruleset,
    }
    for (family, table), text in node.listings.items():
        found[f"{plugin}/ip{SIX[family]}tables_-t_{table}_-nvL"] = text
    for family, text in node.exact.items():
        found[f"{plugin}/ip{SIX[family]}tables_-vnxL"] = text
    return _below(f"sosreport-{HOST}-01234567-2026-11-29-abcdefg/", found)


def eks(node: Node, *, dumps: bool = True) -> Files:
    """What eks-log-collector.sh gathers; without `dumps` the listings alone."""
    found = {
        "system/instance-id.txt": "i-0123456789abcdef0\n",
        "system/region.txt": "eu-west-1\n",
        "system/ps.txt": PS,
        "kernel/uname.txt": UNAME,
        "sysctls/sysctl_all.txt": SETTINGS,
        "networking/ifconfig.txt": IFCONFIG,
        "networking/iproute.txt": ROUTES,
        "networking/conntrack.txt": "*** Output of conntrack -L ***\n"
        "udp      17 29 src=10.0.0.9 dst=10.96.0.10 sport=4000 dport=53 src=10.244.0.3 "
        "dst=10.0.0.9 sport=53 dport=4000 mark=0 use=1\n",
        "var_log/kube-proxy-abcde_kube-system_kube-proxy-0123.log": LOG,
    }
    for family, text in node.dumps.items():
        if dumps:
            found[f"networking/ip{SIX[family]}tables-save.txt"] = text
    for (family, table), text in node.listings.items():
        found[f"networking/ip{SIX[family]}tables-{table}.txt"] = counted(text)
        if table == "filter":
            found[f"networking/ip{SIX[family]}tables.txt"] = counted(text)
    return _below("", found)


def counted(listing: str) -> str:
    """A listing with what eks-log-collector.sh puts behind it."""
    other = re.compile(r"^num|^$|^Chain|^ pkts.*.destination")
    count = sum(1 for line in listing.splitlines() if not other.search(line))
    return f"{listing}=======\nTotal Number of Rules: {count}\n"


def rancher(node: Node, *, dumps: bool = True) -> Files:
    """What rancher2_logs_collector.sh gathers; its names have no endings."""
    found = {
        "systeminfo/hostname": f"{HOST}\n",
        "systeminfo/hostnamefqdn": f"{FQDN}\n",
        "systeminfo/uname": UNAME,
        "systeminfo/date": DATE,
        "systeminfo/ps": PS,
        "systeminfo/sysctla": SETTINGS,
        "networking/ipaddrshow": ADDRESSES,
        "networking/iproute": ROUTES,
        "networking/nft_ruleset": node.ruleset,
        "k8s/containerlogs/kube-proxy": LOG,
        "collector-output.log": "",
    }
    for family, text in node.dumps.items():
        missing = "/bin/sh: 1: iptables-save: not found\n"
        found[f"networking/ip{SIX[family]}tablessave"] = text if dumps else missing
    for (family, table), text in node.listings.items():
        suffix = "" if table == "filter" else table
        found[f"networking/ip{SIX[family]}tables{suffix}"] = text
    return _below("./", found)


def must_gather(objects: Sequence[Mapping[str, Any]], *, each: bool = False) -> Files:
    """What `oc adm inspect` writes: a list for each kind and namespace, or a file for each object.

    Nodes are written one by one.
    """
    groups = {"EndpointSlice": "discovery.k8s.io", "Endpoints": "core"}
    found: dict[str, str] = {
        "../timestamp": "2026-11-29 12:00:00.123456789 +0000 UTC m=+0.000000001\n",
        "version": "must-gather\n",
    }
    for (kind, namespace), items in _by_kind(objects).items():
        plural = kind.lower() if kind == "Endpoints" else f"{kind.lower()}s"
        if kind == "Node":
            for item in items:
                path = f"cluster-scoped-resources/core/nodes/{item['metadata']['name']}.yaml"
                found[path] = _yaml(item)
            continue
        folder = f"namespaces/{namespace}/{groups.get(kind, 'core')}/{plural}"
        found[f"namespaces/{namespace}/{namespace}.yaml"] = _yaml(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
        if each:
            for item in items:
                found[f"{folder}/{item['metadata']['name']}.yaml"] = _yaml(item)
        else:
            found[f"{folder}.yaml"] = _yaml(_list_of(kind, items))
    image = "quay-io-openshift-release-dev-ocp-v4-0-art-dev-sha256-0123456789abcdef"
    return _below(f"must-gather.local.4567/{image}/", found)


def troubleshoot(objects: Sequence[Mapping[str, Any]], *, bare: bool = False) -> Files:
    """A support bundle; old ones have bare arrays of objects that do not say their kind."""
    found: dict[str, str] = {"version.yaml": "apiVersion: troubleshoot.sh/v1beta2\n"}
    for (kind, namespace), items in _by_kind(objects).items():
        plural = kind.lower() if kind == "Endpoints" else f"{kind.lower()}s"
        value: Any = _list_of(kind, items)
        if bare:
            value = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items]
        path = plural if kind == "Node" else f"{plural}/{namespace}"
        found[f"cluster-resources/{path}.json"] = json.dumps(value, indent=2)
    found["cluster-resources/services-errors.json"] = "{}"
    return _below("support-bundle-2026-11-29T12_00_00/", found)


def ran_on_host(command: str, output: str, name: str) -> Files:
    """What the collector `run` of hosts in troubleshoot keeps of a command."""
    info = {"command": command, "exitCode": "0", "error": "", "outputDir": "", "env": ["A=b"]}
    folder = "host-collectors/run-host"
    return _below(
        "support-bundle-2026-11-29T12_00_00/",
        {f"{folder}/{name}-info.json": json.dumps(info), f"{folder}/{name}.txt": output},
    )


def cluster_info(objects: Sequence[Mapping[str, Any]]) -> Files:
    """What `kubectl cluster-info dump --output-directory` writes: no endpoints."""
    found = {}
    kinds = _by_kind(objects)
    namespaces = {namespace for kind, namespace in kinds if kind != "Node"}
    found["nodes.json"] = json.dumps(_list_of("Node", kinds.get(("Node", ""), [])))
    for namespace in namespaces:
        for kind, name in (("Event", "events"), ("Service", "services"), ("Pod", "pods")):
            items = [
                {k: v for k, v in item.items() if k not in ("kind", "apiVersion")}
                for item in kinds.get((kind, namespace), [])
            ]
            found[f"{namespace}/{name}.json"] = json.dumps(_list_of(kind, items))
    return _below("dump/", found)


def _by_kind(
    objects: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for item in objects:
        for one in item.get("items", [item]) if item["kind"].endswith("List") else [item]:
            namespace = one["metadata"].get("namespace", "default")
            key = one["kind"], "" if one["kind"] == "Node" else namespace
            found.setdefault(key, []).append(one)
    return found


def _list_of(kind: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    version = "discovery.k8s.io/v1" if kind == "EndpointSlice" else "v1"
    return {
        "apiVersion": version,
        "kind": f"{kind}List",
        "metadata": {"resourceVersion": "4711"},
        "items": list(items),
    }


def _yaml(value: Any) -> str:
    return f"---\n{yaml.safe_dump(value)}"


def _below(top: str, files: Mapping[str, str]) -> Files:
    found = {}
    for name, text in files.items():
        at = top
        while name.startswith("../"):
            at, name = at.rstrip("/").rpartition("/")[0] + "/", name[3:]  # noqa: PLW2901
        found[at + name] = text.encode()
    return found


def as_tar(files: Mapping[str, bytes], packing: str = "", *, modified: int = 0) -> bytes:
    """A tar archive of files: packed with `gz`, `xz` or `bz2`, or with nothing."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{packing}") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), modified
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def as_zip(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def as_folder(files: Mapping[str, bytes], folder: Path) -> Path:
    """The files in a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


PACKINGS = {
    "tar": as_tar,
    "tar.gz": lambda files: gzip.compress(as_tar(files)),
    "tar.xz": lambda files: lzma.compress(as_tar(files), preset=0),
    "tar.bz2": lambda files: as_tar(files, "bz2"),
    "zip": as_zip,
}
