"""Where packets go in a state: one packet rule by rule, and all nodes by all Services."""

from __future__ import annotations

from typing import Any

from nptables.answering import Say
from nptables.answering.inputs import configuration
from nptables.answering.tracing import cells_document, follow, followed_family, setting_of
from nptables.answering.versions import by_node, by_version
from nptables.errors import InvalidInput, Problem, printable
from nptables.family import Family
from nptables.graphs import path_graph, to_svg
from nptables.playground.choices import choices, destination_text
from nptables.playground.evidence import followed_there, sets_of
from nptables.playground.reading import Reader, follows_on_all_nodes, node_of
from nptables.playground.state import State
from nptables.playground.words import for_page
from nptables.reachability import Configs, Fares, across, reach
from nptables.reachability.matrix import nodes_text
from nptables.sources import Loaded
from nptables.tracing import Trace, family_between
from nptables.tracing.ends import named_destination, named_source
from nptables.tracing.explanation.words import (
    answer_line,
    decided_by,
    hypotheses,
    in_plain_words,
    meaning_of,
    outcome_rows,
    reasons_beside,
    tree,
)
from nptables.tracing.state import Step

# What stands over the columns of `outcome_rows`, for somebody who sees them for the first time.
_HEADINGS = (
    "share of connections", "what happens", "sent to", "on node", "sender seen there", "decided by",
)  # fmt: skip


def traced(reader: Reader, state: State, say: Say, *, down: bool = False) -> dict[str, Any]:
    """One packet: the document of `trace -o json`, and words for people.

    Without a node the packet is followed on every node, unless there is evidence of one.
    """
    source = named_source(state.source or "outside")
    destination = named_destination(state.destination or _first_destination(reader, state))
    family = state.asked_family or family_between(source, destination)
    there = reader.node_has(state, family, say)
    loaded = reader.loaded(state) if state.files or there.meant is None else None
    if loaded is not None and follows_on_all_nodes(reader, state, there):
        cells = across(
            loaded.cluster,
            source,
            destination,
            config=_configs(reader, state, loaded, say),
            family=followed_family(family, loaded, None),
        )
        told = [(nodes_text(cell.nodes), cell.trace) for cell in cells]
        return _traced(cells_document(cells), told, source, destination, down=down)
    family = followed_family(family, loaded, there.meant, say)
    name = state.node or there.name or None
    if loaded is not None:
        name = node_of(reader, state, say, there.evidence)
    setting = setting_of(
        loaded,
        node_name=name,
        given=reader.config(state),
        facts=reader.facts(state),
        family=family,
        version=state.asked_version,
        evidence=there.evidence,
        say=say,
    )
    answer = follow(
        source,
        destination,
        setting,
        evidence=there.evidence,
        path=None if there.meant is None else there.meant.path,
        sets=sets_of(there, say),
        connections=there.connections,
        others=followed_there(there, setting.cluster, setting.node, family),
        say=say,
    )
    told = [(setting.node.name, answer.trace)]
    return _traced(answer.to_json(), told, source, destination, down=down)


def _traced(
    document: dict[str, Any],
    told: list[tuple[str, Trace]],
    source: str,
    destination: str,
    *,
    down: bool,
) -> dict[str, Any]:
    return {
        "document": document,
        "from": source,
        "to": destination,
        "answers": [{"nodes": nodes, **_words(answer, down=down)} for nodes, answer in told],
    }


def _first_destination(reader: Reader, state: State) -> str:
    found = choices(reader, state)["destinations"]
    if not found:
        raise InvalidInput([Problem("there is no Service to send a packet to")])
    return found[0]["value"]


def _configs(reader: Reader, state: State, loaded: Loaded, say: Say) -> Configs:
    found = configuration(reader.config(state), loaded.proxy_config, say=say)
    nodes = list(loaded.cluster.nodes.values())
    return by_node(by_version(found, nodes, asked=state.asked_version, say=say))


def _words(answer: Trace, *, down: bool) -> dict[str, Any]:
    """The answer in words: the line, and each case with its outcomes and its way."""
    verdict, sentence = in_plain_words(answer)
    return {
        "answer": for_page(answer_line(answer)),
        "verdict": verdict,
        "sentence": for_page(sentence),
        "meaning": meaning_of(answer),
        "arrives": answer.arrives,
        "headings": list(_HEADINGS),
        "cases": [
            {
                "condition": condition,
                "rows": [list(row) for row in outcome_rows(distribution)],
                "decided": _deciding(decided_by(distribution)),
                "way": [
                    {
                        "kind": line.kind,
                        "text": line.text,
                        "note": line.note,
                        "decides": line.decides,
                    }
                    for line in tree(distribution.outcomes)
                ],
            }
            for condition, distribution in hypotheses(answer)
        ],
        "reasons": [for_page(reason.words) for reason in reasons_beside(answer)],
        "notes": [for_page(note) for note in answer.notes],
        "svg": to_svg(path_graph(answer), down=down),
    }


def _deciding(rule: Step | None) -> dict[str, str] | None:
    """The rule that decides about all packets of a case, with where it stands."""
    if rule is None:
        return None
    place = f"{rule.backend} {rule.table}".lstrip()
    found = {"node": rule.node, "table": place, "chain": rule.chain, "line": rule.line}
    return {name: printable(text, 400) for name, text in found.items()}


def reached(
    reader: Reader, state: State, say: Say, *, first: int = 0, most: int | None = None
) -> dict[str, Any]:
    """All nodes by all Services: the document of `reach -o json`, and words for each cell.

    With `most` it is about so many Services, from the `first` one on, in the order of their names.
    """
    loaded = reader.loaded(state)
    keys = sorted(loaded.cluster.services)
    end = len(keys) if most is None else first + most
    found = reach(
        loaded.cluster,
        config=_configs(reader, state, loaded, say),
        nodes=None if loaded.cluster.nodes else [node_of(reader, state, say) or "node"],
        source=named_source(state.source or "outside"),
        families=tuple(Family),
        services=keys[first:end],
    )
    return {
        "first": first,
        "next": end if end < len(keys) else None,
        "count": len(keys),
        "document": found.to_json(),
        "rows": [
            {
                "name": str(row.name),
                "to": row.to,
                "destination": destination_text(row.address, row.number, row.name.protocol),
                "cells": [
                    {
                        "nodes": list(cell.nodes),
                        "label": nodes_text(cell.nodes),
                        "fares": cell.fare.fares.value,
                        "good": cell.fare.fares is Fares.ANSWERS,
                        "text": cell.fare.text,
                        "why": cell.reasons[0].words
                        if cell.reasons and cell.fare.fares is not Fares.ANSWERS
                        else "",
                    }
                    for cell in row.cells
                ],
            }
            for row in found.rows
        ],
    }
