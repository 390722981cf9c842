"""What ValidateEndpoints of kube-apiserver 1.36 refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nptables.errors import Path
from nptables.model.reading import Object, Reader
from nptables.model.service import PROTOCOLS
from nptables.model.validation.forms import (
    check_choice,
    check_label,
    check_not_special,
    check_subdomain,
)


def validate_endpoints(raw: Object, reader: Reader) -> None:
    """Note what the server would refuse in an Endpoints object."""
    for position, subset in enumerate(_items(raw, "subsets")):
        path: Path = ("subsets", position)
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            reader.problem(path, "has neither addresses nor notReadyAddresses")
        for key in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(_items(subset, key)):
                _address(address, (*path, key, number), reader)
        ports = _items(subset, "ports")
        for number, port in enumerate(ports):
            _port(port, (*path, "ports", number), reader, alone=len(ports) == 1)


def _items(parent: Object, key: str) -> Sequence[Object]:
    found = parent.get(key)
    if not isinstance(found, list | tuple):
        return ()
    return [item if isinstance(item, Mapping) else {} for item in found]


def _address(address: Object, path: Path, reader: Reader) -> None:
    text: Any = address.get("ip")
    if not text:
        reader.problem((*path, "ip"), "is required", "for example 10.9.8.7")
    elif isinstance(text, str) and (found := reader.ip(text, (*path, "ip"))) is not None:
        check_not_special(found, (*path, "ip"), reader)
    for key, check in (("hostname", check_label), ("nodeName", check_subdomain)):
        value = address.get(key)
        if isinstance(value, str) and value:
            check(value, (*path, key), reader)


def _port(port: Object, path: Path, reader: Reader, *, alone: bool) -> None:
    name, number, protocol = port.get("name"), port.get("port"), port.get("protocol")
    if isinstance(name, str) and name:
        check_label(name, (*path, "name"), reader)
    elif not alone:
        reader.problem((*path, "name"), "is required", "where there are several ports")
    if number is None:
        reader.problem((*path, "port"), "is required", "a number from 1 to 65535")
    elif isinstance(number, int) and not 1 <= number <= 65535:
        reader.problem(
            (*path, "port"), f"{number} is not a port number", "a number from 1 to 65535"
        )
    if isinstance(protocol, str) and protocol:
        check_choice(protocol, (*path, "protocol"), PROTOCOLS, reader)
