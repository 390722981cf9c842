"""The findings of a state, as `nptables check` reports them, and where each is underlined."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from nptables.answering import Say
from nptables.answering.checking import Nodes, cluster_findings, findings_document, judged
from nptables.answering.inputs import configuration
from nptables.answering.saying import say_all
from nptables.answering.versions import by_version
from nptables.checks import Finding
from nptables.playground.marks import Marker
from nptables.playground.reading import Evidences, Reader, node_in
from nptables.playground.state import State

if TYPE_CHECKING:
    from nptables.answering.inputs import Inputs
    from nptables.sources import Loaded


def findings(reader: Reader, state: State, say: Say) -> dict[str, Any]:
    """What is wrong: the document of `check -o json`, and marks in the files."""
    sets = reader.sets(state)
    say_all(say, sets.left_out, kind="warning")
    there = reader.node_has(state, None, say)
    if there:
        sets = attrs.evolve(sets, judged=(sets.only,), problems=())
    found = list(judged(sets, partial(_findings, reader, state, there, say)))
    every = [finding for one in found for finding in one.findings]
    problems = [problem for one in found for problem in one.problems]
    reported = [finding for finding in every if finding.silence is None]
    ignored = [finding for finding in every if finding.silence is not None]
    marker = Marker.of(state)
    marks = [marker.of_finding(finding, number) for number, finding in enumerate(reported)]
    return {
        "document": findings_document(reported, ignored=ignored, problems=problems),
        "marks": [mark for mark in (*marks, *map(marker.of_problem, problems)) if mark is not None],
    }


def _findings(
    reader: Reader, state: State, there: Evidences, say: Say, loaded: Loaded
) -> Iterator[Finding]:
    """What is wrong in one set."""
    say_all(say, loaded.problems, kind="warning")
    say_all(say, loaded.previews, kind="note")
    inputs = None
    if there.meant is not None or state.node:
        node = node_in(loaded, reader, state, say, there.evidence)
        inputs = reader.inputs(state, loaded, node=node, node_has=there.meant, say=say)
        looked_at: Nodes = [(inputs.config, [inputs.node])]
    else:
        found = configuration(reader.config(state), loaded.proxy_config, say=say)
        nodes = list(loaded.cluster.nodes.values())
        looked_at = by_version(found, nodes, asked=state.asked_version, say=say)
    yield from cluster_findings(loaded, looked_at)
    if there:
        yield from _of_node(there, inputs, loaded, looked_at, say)


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
