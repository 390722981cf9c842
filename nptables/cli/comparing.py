"""Two inputs to compare: sets by their names, for one node or for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nptables.cli.forms.form import Planned
from nptables.cli.manifests import read_sets, say_what_was_read
from nptables.cli.options import Inputs, find_configuration, inputs_of
from nptables.cli.output import say, say_all
from nptables.cli.versions import by_version
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.iptables.changes.report import report_lines
from nptables.sources import Loaded
from nptables.translation.explanation.grouping import service_groups


def compared(
    old: Loaded, new: Loaded, options: dict[str, Any], *, all_nodes: bool
) -> Iterator[tuple[Inputs, Inputs]]:
    """The two inputs for the node that was named, or for each Node that is in both."""
    if not all_nodes:
        yield _inputs(old, new, options), _inputs(new, old, options)
        return
    sides = (_by_node(old, new, options), _by_node(new, old, options))
    names = sides[0].keys() & sides[1].keys()
    if not sides[0] and not sides[1]:
        raise InvalidInput(
            [Problem("there is no Node in either FILE", hint="name one with --node instead")]
        )
    if not names:
        raise InvalidInput(
            [Problem("no Node is in both FILEs", hint="name one with --node instead")]
        )
    for name in dict.fromkeys((*sides[0], *sides[1])):
        if name in names:
            yield sides[0][name], sides[1][name]
        else:
            said = "new" if name in sides[1] else "gone"
            say(f"Node {name} is {said}, so nothing is compared there")


def _by_node(loaded: Loaded, other: Loaded, options: dict[str, Any]) -> dict[str, Inputs]:
    """An input for each of its Nodes; one without any, such as Services alone, has the other's."""
    nodes = loaded.cluster.nodes or other.cluster.nodes
    telling = [
        node if node.kubelet_version else other.cluster.nodes.get(node.name, node)
        for node in nodes.values()
    ]
    found = find_configuration(options["config_path"], loaded.proxy_config)
    configs = {node.name: config for config, alike in by_version(found, telling) for node in alike}
    family = options["family"] or Family.IPV4
    return {
        name: Inputs(loaded, node, configs[name], family, found) for name, node in nodes.items()
    }


class Alike:
    """Changes, those together that are the same on several nodes; those of nothing are left out."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Any, ...], Planned] = {}

    @property
    def parts(self) -> list[Planned]:
        """The changes in the order in which they came."""
        return list(self._parts.values())

    def add(self, part: Planned) -> None:
        """Note the changes of one family on a node, or on the only node that is compared."""
        plan = part.plan
        if not part.nodes:
            self._parts[len(self._parts),] = part
        elif plan or plan.kept or plan.cosmetic:
            lines = report_lines(plan, service_groups(plan.desired, plan.before))
            key = (plan.family, *(line.text for line in lines))
            known = self._parts.get(key)
            self._parts[key] = part if known is None else known.also_on(part)


def pairs_of(paths: tuple[str, ...], *, lenient: bool) -> list[tuple[str, Loaded, Loaded]]:
    """The sets of two inputs by what they are called in each; one without counterpart is new."""
    sides = [_by_name(path, lenient=lenient) for path in paths]
    if all(len(side) == 1 for side in sides):
        ((name, old),), ((_, new),) = (side.items() for side in sides)
        return [(name, old, new)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    return [(n, sides[0].get(n, Loaded()), sides[1].get(n, Loaded())) for n in names]


def _by_name(path: str, *, lenient: bool) -> dict[str, Loaded]:
    sets = read_sets((path,), (), lenient=lenient)
    say_all((str(one) for one in sets.left_out), kind="warning")
    judged = sets.judged or sets.idle
    problems = [*sets.problems, *(p for one in judged if not one.usable for p in one.problems)]
    if problems or not judged:
        raise InvalidInput(problems or sets.only.problems)
    for loaded in judged:
        say_what_was_read(loaded)
    return {loaded.name.removeprefix(path).strip("/") or ".": loaded for loaded in judged}


def _inputs(loaded: Loaded, other: Loaded, options: dict[str, Any]) -> Inputs:
    """An input for the node that was named, or the only one of it or its counterpart.

    Both are for one kube-proxy, whichever of them tells its version.
    """
    node_name = options["node_name"]
    if node_name is None and not loaded.cluster.nodes and len(other.cluster.nodes) == 1:
        node_name = next(iter(other.cluster.nodes))
    like = other.cluster.nodes.get(node_name or next(iter(loaded.cluster.nodes), ""))
    return inputs_of(loaded, **{**options, "node_name": node_name}, like=like)
