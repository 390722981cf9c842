"""The Service of a state as a picture."""

from __future__ import annotations

from typing import Any

from nptables.answering import Say
from nptables.answering.drawing import drawn
from nptables.answering.services import service_in, service_key
from nptables.errors import InvalidInput, Problem
from nptables.graphs import to_dot, to_mermaid, to_svg
from nptables.playground.reading import Reader, node_of
from nptables.playground.state import State
from nptables.translation.selection import has_rules


def graph(reader: Reader, state: State, say: Say, *, down: bool = False) -> dict[str, Any]:
    """The graph of a Service: as `graph` writes it in each of its forms, and as text."""
    inputs = reader.inputs(state, node=node_of(reader, state, say), say=say)
    cluster = inputs.cluster
    if state.service:
        key = service_key(state.service)
    else:
        found = [k for k, service in sorted(cluster.services.items()) if service.cluster_ips]
        if not found:
            raise InvalidInput([Problem("there is no Service that has rules")])
        key = found[0]
    service = service_in(cluster, key)
    family = state.family if has_rules(service, state.family) else None
    picture = drawn(inputs, key, family)
    return {
        "service": "/".join(key),
        "svg": to_svg(picture, down=down),
        "dot": to_dot(picture, down=down),
        "mermaid": to_mermaid(picture, down=down),
        "text": picture.text,
    }
