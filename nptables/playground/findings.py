"""The findings of a state, as `nptables check` reports them, and where each is underlined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nptables.answering import Say
from nptables.answering.checking import Nodes, cluster_findings, findings_document
from nptables.answering.inputs import configuration
from nptables.answering.versions import by_version
from nptables.checks import Finding, arranged
from nptables.checks.silencing import silenced_by_objects
from nptables.playground.marks import Marker
from nptables.playground.reading import Reader, node_of
from nptables.playground.state import State

if TYPE_CHECKING:
    from nptables.answering.inputs import Inputs
    from nptables.playground.reading import Evidences
    from nptables.sources import Loaded


def findings(reader: Reader, state: State, say: Say) -> dict[str, Any]:
    """What is wrong: the document of `check -o json`, and marks in the files."""
    loaded = reader.loaded(state)
    for problem in loaded.problems:
        say(str(problem), kind="warning")
    for preview in loaded.previews:
        say(str(preview))
    there = reader.node_has(state, None, say)
    inputs = None
    if there.meant is not None or state.node:
        node = node_of(reader, state, say, there.evidence)
        inputs = reader.inputs(state, node=node, node_has=there.meant, say=say)
        looked_at: Nodes = [(inputs.config, [inputs.node])]
    else:
        found = configuration(reader.config(state), loaded.proxy_config, say=say)
        nodes = list(loaded.cluster.nodes.values())
        looked_at = by_version(found, nodes, asked=state.asked_version, say=say)
    raw = list(cluster_findings(loaded, looked_at))
    if there:
        raw += _of_node(there, inputs, loaded, looked_at, say)
    every = arranged(silenced_by_objects(raw, loaded.cluster, loaded.place))
    reported = [finding for finding in every if finding.silence is None]
    ignored = [finding for finding in every if finding.silence is not None]
    marker = Marker.of(state)
    return {
        "document": findings_document(reported, ignored=ignored),
        "marks": [
            mark
            for number, finding in enumerate(reported)
            if (mark := marker.of_finding(finding, number)) is not None
        ],
    }


def _of_node(
    there: Evidences, inputs: Inputs | None, loaded: Loaded, looked_at: Nodes, say: Say
) -> Iterator[Finding]:
    """What is wrong with what a node has."""
    # It takes all that knows rules, which manifests alone do without.
    from nptables.answering.checking_nodes import (  # noqa: PLC0415
        connection_findings,
        node_findings,
    )

    if there.connections is not None:
        yield from connection_findings(there.connections, loaded.cluster, looked_at)
    if there.meant is not None and inputs is not None:
        yield from node_findings(there.meant, inputs, None, say=say)
