"""Write nptables/model/schema/types.py from the types that the kubernetes client has.

python scripts/schema.py > nptables/model/schema/types.py

The client's models are generated from the API's own description, so every field that an API
server knows is there. Run it again when the reference version of Kubernetes moves.
"""

from __future__ import annotations

import re
import sys

from kubernetes import __version__ as client_version
from kubernetes.client import models

ROOTS = (
    "Service",
    "EndpointSlice",
    "Endpoints",
    "Node",
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
)
SIMPLE = {"str": "str", "int": "int", "bool": "bool", "datetime": "time", "bytes": "str"}
# The client calls these plain text or plain objects; the API takes a number as well.
QUANTITIES = re.compile(
    r"^(limits|requests|capacity|allocatable|allocatedResources|overhead|divisor|sizeLimit"
    r"|resources|consumedCapacity)$"
)
INT_OR_STRING = {"maxSurge", "maxUnavailable", "port", "targetPort", "partition"}


def compact(field: str, text: str) -> str:
    """The type of a field: a word, the name of a type, or one of these after [] or {}."""
    listed = re.fullmatch(r"List\[(.*)\]", text, re.IGNORECASE)
    if listed:
        return "[]" + compact("", listed[1])
    mapped = re.fullmatch(r"Dict[\[(]str, (.*)[\])]", text, re.IGNORECASE)
    if mapped:
        return "{}" + ("quantity" if QUANTITIES.match(field) else compact("", mapped[1]))
    if text == "object":
        return "int-or-str" if field in INT_OR_STRING else "any"
    if text == "str" and QUANTITIES.match(field):
        return "quantity"
    return SIMPLE.get(text) or short(text)


def short(name: str) -> str:
    """The name of a type without the version in front of it."""
    return re.sub(r"^V1", "", name)


def model(name: str) -> type:
    """The client's class of a type."""
    found: type = getattr(models, f"V1{name}", None) or getattr(models, name)
    return found


def main() -> None:
    """Print the module."""
    types: dict[str, dict[str, str]] = {}
    pending = list(ROOTS)
    while pending:
        name = pending.pop()
        if name in types:
            continue
        cls = model(name)
        types[name] = {
            cls.attribute_map[attribute]: compact(cls.attribute_map[attribute], text)
            for attribute, text in cls.openapi_types.items()
        }
        pending += [
            t.lstrip("[]{}") for t in types[name].values() if t.lstrip("[]{}")[:1].isupper()
        ]
    out = sys.stdout
    out.write(
        '"""The fields of every object that is read, and their types.\n\n'
        f"Written by scripts/schema.py from the kubernetes client {client_version}: change "
        'that, not this.\n"""\n\n'
        "from __future__ import annotations\n\n"
        "# `[]` is a list, `{}` a map with text keys; a capital letter begins the name of a type.\n"
        "FIELDS: dict[str, dict[str, str]] = {\n"
    )
    for name in sorted(types):
        if not types[name]:
            out.write(f'    "{name}": {{}},\n')
            continue
        out.write(f'    "{name}": {{\n')
        for field in sorted(types[name]):
            out.write(f'        "{field}": "{types[name][field]}",\n')
        out.write("    },\n")
    out.write("}\n")


if __name__ == "__main__":
    main()
