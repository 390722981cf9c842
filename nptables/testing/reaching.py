"""Assertions about manifests for the tests of others: what is reached, and from where.

As pytest fixtures they are in `nptables.testing.plugin`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from nptables.family import Family
from nptables.model import Cluster, NodeFacts, ProxyConfig
from nptables.sources import load
from nptables.tracing import Trace, packet_between, trace
from nptables.tracing.explanation.words import HEADINGS, answer_line, outcome_rows, table_lines
from nptables.translation import translate

Manifests = str | os.PathLike[str] | Cluster | Iterable[Mapping[str, Any]]


def reaches(
    manifests: Manifests,
    source: str,
    destination: str,
    *,
    node: str | None = None,
    config: ProxyConfig | Mapping[str, Any] | None = None,
    facts: NodeFacts | Mapping[str, Any] | None = None,
    family: Family = Family.IPV4,
) -> Trace:
    """Follow a packet on a node of manifests.

    `manifests` is a file or directory, a Cluster, or objects as mappings. `source` and
    `destination` are ends as `nptables trace` takes them; `node` is the node that sees the
    packet first, the only one there is by default. `config` is a ProxyConfig or a
    KubeProxyConfiguration as a mapping. Raises InvalidInput for what is wrong with any of it.
    """
    cluster = _cluster(manifests)
    settings = _config(config)
    place = cluster.node(node or settings.hostname_override or None, facts)
    packet = packet_between(source, destination, node=place, cluster=cluster, family=family)
    rules = translate(cluster, place, settings, packet.family)
    return trace(rules, packet, place, cluster, config=settings)


def check_reaches(manifests: Manifests, source: str, destination: str, **options: Any) -> Trace:
    """The trace of `reaches`; raises AssertionError unless every packet arrives."""
    answer = reaches(manifests, source, destination, **options)
    if not answer.arrives:
        message = f"{source} does not reach {destination}\n{_report(answer)}"
        raise AssertionError(message)
    return answer


def check_reaches_not(manifests: Manifests, source: str, destination: str, **options: Any) -> Trace:
    """The trace of `reaches`; raises AssertionError if any packet arrives."""
    answer = reaches(manifests, source, destination, **options)
    if any(outcome.arrives for d in answer.distributions for outcome in d.outcomes):
        message = f"{source} reaches {destination}\n{_report(answer)}"
        raise AssertionError(message)
    return answer


def _cluster(manifests: Manifests) -> Cluster:
    if isinstance(manifests, Cluster):
        return manifests
    if isinstance(manifests, str | os.PathLike):
        return load(manifests).cluster
    return Cluster.from_objects(manifests)


def _config(config: ProxyConfig | Mapping[str, Any] | None) -> ProxyConfig:
    if isinstance(config, ProxyConfig):
        return config
    return ProxyConfig() if config is None else ProxyConfig.from_kube_proxy(config)


def _report(answer: Trace) -> str:
    lines = [answer_line(answer)]
    for distribution in answer.distributions:
        if distribution.hypothesis:
            lines.append(f"If {distribution.hypothesis}:")
        lines += table_lines([HEADINGS, *outcome_rows(distribution)])
    lines += [f"- {reason.text}" for reason in answer.reasons]
    return "\n".join(lines)
