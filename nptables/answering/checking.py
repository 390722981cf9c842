"""All findings about an input: what `nptables check` reports, and the page of the playground."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

from nptables.checks import Finding, arranged, check_cluster
from nptables.checks.baseline import Entry
from nptables.checks.cluster import NODE_PORTS
from nptables.checks.reports import problem_findings
from nptables.checks.silencing import silenced_by_objects
from nptables.errors import InvalidInput, Problem
from nptables.model import Node, ProxyConfig
from nptables.sources import Loaded, Sets

# What is looked at: nodes by what their versions of kube-proxy read in the configuration.
Nodes = Sequence[tuple[ProxyConfig, Sequence[Node]]]


def cluster_findings(
    loaded: Loaded, looked_at: Nodes, node_ports: tuple[int, int] = NODE_PORTS
) -> Iterator[Finding]:
    """What is wrong with the objects, on nodes with their configurations."""
    for config, nodes in looked_at:
        yield from check_cluster(
            loaded.cluster, config, nodes=nodes, place=loaded.place, node_ports=node_ports
        )


@attrs.frozen
class Judged:
    """The findings of one set, the worst first, or why it could not be judged.

    `whole` is false where some findings are left out.
    """

    name: str
    has_services: bool
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    whole: bool = True

    @property
    def wrong(self) -> list[Finding]:
        """The problems as findings."""
        return [attrs.evolve(found, set=self.name) for found in problem_findings(self.problems)]


def judged(
    sets: Sets,
    find: Callable[[Loaded], Iterable[Finding]],
    shown: Callable[[list[Finding], Loaded], list[Finding]] = lambda findings, _: findings,
) -> Iterator[Judged]:
    """Every set with what `find` finds in it, less what silences it and what is not `shown`.

    Raises InvalidInput where nothing can be judged.
    """
    wrong = [problem for one in sets.judged if not one.usable for problem in one.problems]
    if sets.problems or (wrong and len(sets.judged) == 1):
        raise InvalidInput((*sets.problems, *wrong))
    for loaded in sets.judged:
        name = "" if loaded.name == "." else loaded.name
        if not loaded.usable:
            yield Judged(name, loaded.has_services, problems=loaded.problems)
            continue
        every = arranged(silenced_by_objects(find(loaded), loaded.cluster, loaded.place))
        found = shown(every, loaded)
        named = tuple(attrs.evolve(finding, set=name) for finding in found)
        yield Judged(name, loaded.has_services, named, whole=len(every) == len(found))


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
