"""With which configuration the kube-proxy of a node runs, as its process shows it.

`--config` names a file and makes kube-proxy pass over its other flags, but for
`--hostname-override` and what is about logs (cmd/kube-proxy/app/options.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nptables.evidence.node import Evidence, Process
from nptables.model.config import API_VERSION, KIND

NAME = "kube-proxy"
# Programs that have a kube-proxy in their own process, by what the kernel calls them.
WITH_KUBE_PROXY = frozenset({"hyperkube", "kubelite", "k3s", "k3s-server", "k3s-agent"})
_OVERRIDE = "hostname-override"


def _number(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def _boolean(text: str) -> Any:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(
        text.lower(), text
    )


def _listed(text: str) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()]


# Flags that rules depend on: the field of the configuration that each sets, and how it is read.
_FLAGS: dict[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {
    "bind-address": (("bindAddress",), str),
    "cluster-cidr": (("clusterCIDR",), str),
    "detect-local-mode": (("detectLocalMode",), str),
    _OVERRIDE: (("hostnameOverride",), str),
    "iptables-localhost-nodeports": (("iptables", "localhostNodePorts"), _boolean),
    "iptables-masquerade-bit": (("iptables", "masqueradeBit"), _number),
    "masquerade-all": (("iptables", "masqueradeAll"), _boolean),
    "nodeport-addresses": (("nodePortAddresses",), _listed),
    "pod-bridge-interface": (("detectLocal", "bridgeInterface"), str),
    "pod-interface-name-prefix": (("detectLocal", "interfaceNamePrefix"), str),
    "proxy-mode": (("mode",), str),
}
_SWITCHES = frozenset({"iptables-localhost-nodeports", "masquerade-all"})


def kube_proxy_of(evidence: Evidence) -> Process | None:
    """The kube-proxy that runs on the node, where it was seen."""
    return next((found for found in evidence.processes or () if found.name == NAME), None)


def seems_stopped(evidence: Evidence) -> bool:
    """Whether the programs on the node were seen, and none of them does what kube-proxy does."""
    doing = {NAME, "nptables", *WITH_KUBE_PROXY}
    seen = evidence.processes
    return seen is not None and all(process.name not in doing for process in seen)


def configuration_of(process: Process) -> Mapping[str, Any] | None:
    """The KubeProxyConfiguration that a kube-proxy runs with.

    None where its command line names a file that nobody has read.
    """
    flags = dict(_flags(process.arguments))
    if process.configuration is not None:
        override = flags.get(_OVERRIDE)
        named = {} if not override else {"hostnameOverride": override}
        return {**process.configuration, **named}
    if "config" in flags:
        return None
    found: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
    for name, text in flags.items():
        path, read = _FLAGS.get(name, ((), str))
        if path:
            *within, last = path
            place = found
            for key in within:
                place = place.setdefault(key, {})
            place[last] = read(text)
    return found


def override_of(process: Process) -> str:
    """The name of its Node that a kube-proxy was told, or an empty string."""
    told = dict(_flags(process.arguments)).get(_OVERRIDE, "")
    return told.strip().lower()


def _flags(arguments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The flags of a command line as pflag reads them; the last of one name counts."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if not word.startswith("-") or word in ("-", ""):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if equals:
            yield name, value
        elif name in _SWITCHES:
            yield name, "true"
        elif name in _FLAGS or name == "config":
            yield name, next(words, "")
