"""All findings about an input: what `nptables check` reports, and the page of the playground."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nptables.checks import Finding, check_cluster
from nptables.checks.baseline import Entry
from nptables.errors import Problem
from nptables.model import Node, ProxyConfig
from nptables.sources import Loaded

# What is looked at: nodes by what their versions of kube-proxy read in the configuration.
Nodes = Sequence[tuple[ProxyConfig, Sequence[Node]]]


def cluster_findings(loaded: Loaded, looked_at: Nodes) -> Iterator[Finding]:
    """What is wrong with the objects, on nodes with their configurations."""
    for config, nodes in looked_at:
        yield from check_cluster(loaded.cluster, config, nodes=nodes, place=loaded.place)


def findings_document(
    found: Iterable[Finding],
    *,
    ignored: Iterable[Finding] = (),
    gone: Iterable[Entry] = (),
    problems: Iterable[Problem] = (),
) -> dict[str, Any]:
    """The findings as plain data; what there is nothing of is left out, but the findings."""
    parts: dict[str, list[Any]] = {
        "ignored": [finding.to_json() for finding in ignored],
        "gone": [entry.to_json() for entry in gone],
        "problems": [problem.to_dict() for problem in problems],
    }
    return {
        "findings": [finding.to_json() for finding in found],
        **{name: part for name, part in parts.items() if part},
    }
