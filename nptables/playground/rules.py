"""The rules of a node for a list: page by page, each line with what it came from, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from nptables.answering import Say
from nptables.answering.services import service_in
from nptables.errors import Path
from nptables.iptables import Table
from nptables.playground.reading import Reader, node_of
from nptables.playground.state import State
from nptables.rendering import narrowed_to
from nptables.rendering.document import chain_document, to_document
from nptables.sources import FoundConfig, Loaded
from nptables.translation import Origin, Translation
from nptables.translation import chains as chain_names

Key = tuple[str, str]
Place = tuple[str, int | None]

# Lines on one page, unless the request says otherwise.
MOST_LINES = 500
_OWN = (
    chain_names.EXTERNAL_PREFIX, chain_names.SOURCE_RANGES_PREFIX, chain_names.LOCAL_PREFIX,
    chain_names.SERVICE_PREFIX, chain_names.ENDPOINT_PREFIX, "",
)  # fmt: skip
_STEP = re.compile(r"\.?([A-Za-z][\w-]*)|\[(\d+)\]")


def rules(
    reader: Reader,
    state: State,
    say: Say,
    *,
    service: Key | None = None,
    first: int = 0,
    most: int = MOST_LINES,
    whole: bool = False,
) -> dict[str, Any]:
    """The chains of a node from the `first` one (from 0) on, as many as have `most` lines.

    They are in the order in which one reads them: see `_rank`. `service` leaves out the rules of
    all others. With `whole` the document of `render -o json` is there, too, and the text that
    `iptables-save` prints.
    """
    inputs = reader.inputs(state, node=node_of(reader, state, say), say=say)
    made = reader.rules(state, inputs)
    keys = () if service is None else (service_in(inputs.cluster, service).key,)
    ruleset = narrowed_to(made, *keys) if keys else made
    for warning in made.warnings:
        say(str(warning), kind="warning")
    places = _Places(inputs.loaded, inputs.found)
    chains = [
        (table, chain)
        for table in ruleset.tables.values()
        for chain in sorted(table.chains, key=lambda each: _rank(table, each, made))
        # A built-in chain without a rule says nothing.
        if table.chains[chain] or chain not in table.policies
    ]
    end = _end(chains, first, most)
    return {
        "document": to_document(ruleset, made, *keys) if whole else None,
        "text": ruleset.to_save() if whole else None,
        "node": made.context.node_name,
        "family": made.family.value,
        "chains": [_chain(table, chain, made, places) for table, chain in chains[first:end]],
        "first": first,
        "next": end if end < len(chains) else None,
        "count": len(chains),
        "lines": ruleset.rule_count(),
    }


def _rank(table: Table, chain: str, made: Translation) -> tuple[Any, ...]:
    """Where a chain is shown: what decides about Services first, then what every node has.

    The chains of each service port are together, from the one that packets come to first. Those at
    the hooks, which only lead to the others, and those without a rule come last.
    """
    if not table.chains[chain]:
        return (4,)
    if chain in table.policies:
        return (3,)
    if chain in chain_names.OF_SERVICES:
        return 0, chain_names.OF_SERVICES.index(chain)
    owner = made.owner_of_chain(chain) if table.name == "nat" else None
    if owner is None:
        return (2,)
    return 1, owner, next(n for n, prefix in enumerate(_OWN) if chain.startswith(prefix))


def _end(chains: Sequence[tuple[Table, str]], first: int, most: int) -> int:
    """The first chain that does not go on the page, which has one at least."""
    lines, end = 0, first
    while end < len(chains) and (lines <= most or end == first):
        table, chain = chains[end]
        lines += len(table.chains[chain])
        if lines > most and end > first:
            break
        end += 1
    return end


def _chain(table: Table, chain: str, made: Translation, places: _Places) -> dict[str, Any]:
    return {
        "table": table.name,
        **chain_document(table, chain, made),
        "lines": [
            {"line": line, **places.of(made.origin_in(table.name, chain, line))}
            for line in table.chains[chain]
        ],
    }


@attrs.frozen
class _Places:
    """Where in the texts the origins of rules stand."""

    loaded: Loaded
    found: FoundConfig | None
    _known: dict[Origin, dict[str, Any]] = attrs.field(factory=dict)
    _endpoints: dict[Key, dict[str, tuple[str, Path]]] = attrs.field(factory=dict)

    def of(self, origin: Origin) -> dict[str, Any]:
        """The origin of a line as plain data, with its file and line where they are known."""
        known = self._known.get(origin)
        if known is None:
            file, line = self._place(origin) or (None, None)
            name = origin.service
            known = self._known[origin] = {
                "service": None if name is None else f"{name.namespace}/{name.name}",
                "port": None if name is None else name.port,
                "protocol": None if name is None else name.protocol,
                "endpoint": origin.endpoint or None,
                "field": origin.field or None,
                "file": file,
                "at": line,
            }
        return known

    def _place(self, origin: Origin) -> Place | None:
        name = origin.service
        if name is None:
            document = None if self.found is None else self.found.document
            if document is None or not origin.field:
                return None
            where = document.locate(_path(origin.field))
            return document.file, None if where is None else where[0]
        key = (name.namespace, name.name)
        if origin.endpoint:
            found = self._of_endpoints(key).get(origin.endpoint.rpartition(":")[0].strip("[]"))
            place = found and self.loaded.place("EndpointSlice", key[0], *found)
            if place:
                return place[:2]
        # Endpoints that were derived stand in no text: what chose them does.
        path = ("spec", "selector") if origin.endpoint else _path(origin.field)
        place = self.loaded.place("Service", *key, path)
        return None if place is None else place[:2]

    def _of_endpoints(self, key: Key) -> dict[str, tuple[str, Path]]:
        """Slice and path of each address of a Service's endpoints."""
        if key not in self._endpoints:
            service = self.loaded.cluster.services[key]
            found: dict[str, tuple[str, Path]] = {}
            for each in self.loaded.cluster.slices_of(service):
                for number, endpoint in enumerate(each.endpoints):
                    place = (each.metadata.name, ("endpoints", number, "addresses"))
                    found.setdefault(endpoint.address, place)
            self._endpoints[key] = found
        return self._endpoints[key]


def _path(field: str) -> Path:
    """The path that a field such as `spec.ports[0].nodePort` is."""
    return tuple(_steps(field))


def _steps(field: str) -> Iterator[str | int]:
    for found in _STEP.finditer(field):
        yield found[1] if found[1] is not None else int(found[2])
