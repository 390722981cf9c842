"""A Service of the input as a graph."""

from __future__ import annotations

from nptables.answering.inputs import Inputs
from nptables.answering.services import service_in
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.graphs import Graph, service_graph
from nptables.translation.explanation.decision import skip_reason
from nptables.translation.selection import has_rules


def drawn(inputs: Inputs, key: tuple[str, str], family: Family | None) -> Graph:
    """The rules of a Service on a node, in its first family unless another is asked for.

    Raises InvalidInput for a Service that is not there, or has no rules.
    """
    service = service_in(inputs.cluster, key)
    family = family or next(iter(service.cluster_ips), Family.IPV4)
    if not has_rules(service, family):
        why = skip_reason(service, family).words
        raise InvalidInput([Problem(f"{'/'.join(key)} has no {family.value} rules: {why}")])
    return service_graph(inputs.translate(family), key)
