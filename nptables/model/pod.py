"""A Pod, as far as it matters for packets: its addresses, and the node it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nptables.family import Family
from nptables.immutable import frozen
from nptables.model.addresses import parse_ip_sloppy
from nptables.model.reading import mapping_of

_ENDED = ("Succeeded", "Failed")


@frozen
class Pod:
    """A Pod with its addresses (status.podIPs) and its node (spec.nodeName, empty where none).

    `phase` is that of its status. One that has ended has no address any more.
    """

    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    node_name: str = ""
    phase: str = ""

    @classmethod
    def read(cls, raw: object) -> Pod | None:
        """The Pod in a mapping as `kubectl get -o json` gives it; None for what is not one."""
        pod = mapping_of(raw)
        metadata = mapping_of(pod.get("metadata"))
        name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
        if not isinstance(name, str) or not name or not isinstance(namespace, str):
            return None
        status = mapping_of(pod.get("status"))
        phase = str(status.get("phase") or "")
        found = (parse_ip_sloppy(text) for text in pod_ips(status))
        # The status keeps the address of a Pod that has ended, while another Pod may have it by
        # now.
        addresses = () if phase in _ENDED else tuple(ip for ip in found if ip is not None)
        node_name = str(mapping_of(pod.get("spec")).get("nodeName") or "")
        return cls(namespace, name, tuple(dict.fromkeys(addresses)), node_name, phase)

    def address(self, family: Family) -> str | None:
        """Its address of a family, or None."""
        return next((ip for ip in self.addresses if Family.of(ip) is family), None)


def pod_ips(status: Mapping[str, Any]) -> list[str]:
    """The addresses in the status of a Pod, as they are written; podIP where podIPs has none."""
    alone = str(status.get("podIP") or "")
    return list(_listed(status)) or ([alone] if alone else [])


def _listed(status: Mapping[str, Any]) -> Iterator[str]:
    listed = status.get("podIPs")
    for item in listed if isinstance(listed, list | tuple) else ():
        if isinstance(item, Mapping) and (text := str(item.get("ip") or "")):
            yield text
