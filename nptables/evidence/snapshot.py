"""The document that `nptables snapshot` writes; docs/snapshot.schema.json has its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from nptables.errors import InvalidInput, Path, Problem, SaveSyntaxError
from nptables.evidence.node import Bridge, Evidence, Form, Gap, Process, RecentList, Unread
from nptables.evidence.secrets import without_secret_fields, without_secrets
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import LEGACY, NFT
from nptables.iptables.unshown import EVERYTHING_SHOWN, Unshown
from nptables.model import NodeFacts
from nptables.model.node import FACT_KEYS
from nptables.model.reading import Object, Reader, quoted
from nptables.translation.flows import AddressAndPort, Flow

Found = TypeVar("Found")

KIND = "NptablesSnapshot"
VERSION = 1

_BACKENDS = (LEGACY, NFT)
_FIELDS = (
    "kind", "version", "form", "node", "aliases", "taken", "tables", "unreadTables", "facts",
    "sysctls", "ipset", "nft", "bridges", "recent", "connections", "processes", "versions", "gaps",
)  # fmt: skip


@frozen
class TableText:
    """The tables of one backend and family, as its save program printed them.

    `unread` are chains by table that are there and whose rules are unknown, `unshown` is what else
    is not known of them.
    """

    backend: str
    family: Family
    text: str = attrs.field(repr=False)
    unread: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    unshown: Unshown = EVERYTHING_SHOWN

    @classmethod
    def of(cls, ruleset: Ruleset) -> TableText:
        """The text of a ruleset."""
        unread = {t.name: tuple(sorted(t.unread)) for t in ruleset.tables.values() if t.unread}
        return cls(ruleset.backend, ruleset.family, ruleset.to_save(), unread, ruleset.unshown)

    def ruleset(self) -> Ruleset:
        """The text parsed. Raises SaveSyntaxError."""
        read = Ruleset.from_save(self.text, family=self.family)
        tables = {
            name: attrs.evolve(table, unread=frozenset(self.unread.get(name, ())))
            for name, table in read.tables.items()
        }
        return attrs.evolve(read, tables=tables, backend=self.backend, unshown=self.unshown)


@frozen
class Snapshot:
    """What was taken of a node: tables that need not be parsed yet, and in `rest` all else."""

    tables: tuple[TableText | Ruleset, ...]
    rest: Evidence

    def evidence(self) -> Evidence:
        """With the tables parsed. Raises InvalidInput where a text is no ruleset."""
        rulesets, problems = [], []
        for index, table in enumerate(self.tables):
            try:
                rulesets.append(table if isinstance(table, Ruleset) else table.ruleset())
            except SaveSyntaxError as error:
                path: Path = ("tables", index, "text")
                problems.append(Problem(str(error), kind="snapshot", path=path))
        if problems:
            raise InvalidInput(problems)
        return attrs.evolve(self.rest, rulesets=tuple(rulesets))


def is_snapshot(value: object) -> bool:
    """Whether a value that was read from JSON is meant to be a snapshot."""
    return isinstance(value, Mapping) and value.get("kind") == KIND


def to_document(found: Snapshot | Evidence) -> dict[str, Any]:
    """The document of what is known of a node, ready for `json.dumps`.

    What was not looked at is not there. Nothing secret gets in by way of a process.
    """
    if isinstance(found, Evidence):
        found = Snapshot(found.rulesets, found)
    rest = found.rest
    document: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "form": None if rest.form is Form.SNAPSHOT else rest.form.value,
        "node": rest.node,
        "aliases": list(rest.aliases) or None,
        "taken": rest.taken,
        "gaps": [{"what": gap.what, "why": gap.why} for gap in rest.gaps],
        "versions": _plain(rest.versions),
        "facts": None if rest.facts is None else _facts_document(rest.facts),
        "sysctls": _plain(rest.sysctls),
        "bridges": _listed(rest.bridges, _bridge_document),
        "processes": _listed(rest.processes, _process_document),
        "recent": _recent_document(rest),
        "connections": _connections_document(rest),
        "nft": None if rest.native is None else [dict(entry) for entry in rest.native],
        "ipset": rest.ipset,
        "unreadTables": [
            {"backend": each.backend, "family": each.family.value, "chains": list(each.chains)}
            for each in rest.unread
        ],
        "tables": [_table_document(table) for table in found.tables],
    }
    # None means that nobody looked, and an empty list that nothing was there.
    return {key: value for key, value in document.items() if value is not None}


def _plain(mapping: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if mapping is None else dict(mapping)


def _listed(values: Any, write: Any) -> list[Any] | None:
    return None if values is None else [write(value) for value in values]


def _table_document(table: TableText | Ruleset) -> dict[str, Any]:
    table = TableText.of(table) if isinstance(table, Ruleset) else table
    written: dict[str, Any] = {
        "backend": table.backend,
        "family": table.family.value,
        "text": table.text,
    }
    if table.unread:
        written["unread"] = {name: list(chains) for name, chains in table.unread.items()}
    if table.unshown != EVERYTHING_SHOWN:
        written["unshown"] = {
            key: value if isinstance(value, bool) else sorted(value)
            for key, value in attrs.asdict(table.unshown, recurse=False).items()
            if value
        }
    return written


def _facts_document(facts: NodeFacts) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if facts.interfaces is not None:
        written["interfaces"] = {name: list(each) for name, each in facts.interfaces.items()}
    if facts.routes is not None:
        written["routes"] = [dict(route) for route in facts.routes]
    switches = (
        ("nfacct", facts.nfacct, False),
        ("tcpBeLiberal", facts.tcp_be_liberal, False),
        ("randomFully", facts.random_fully, True),
    )
    # What was told is written though it is usual: then it is known, and not assumed.
    written |= {
        key: value for key, value, usual in switches if key in facts.told or value is not usual
    }
    return written


def _bridge_document(bridge: Bridge) -> dict[str, Any]:
    return {
        "name": bridge.name,
        "networks": list(bridge.networks),
        "withoutHairpin": list(bridge.without_hairpin),
    }


def _process_document(process: Process) -> dict[str, Any]:
    written: dict[str, Any] = {"name": process.name}
    if process.pid:
        written["pid"] = process.pid
    if process.arguments:
        written["arguments"] = list(without_secrets(process.arguments))
    if process.configuration is not None:
        written["configuration"] = without_secret_fields(process.configuration)
    if process.mode:
        written["mode"] = process.mode
    if process.version:
        written["version"] = process.version
    return written


def _recent_document(rest: Evidence) -> dict[str, Any] | None:
    written: dict[str, Any] = {}
    if rest.recent_limit is not None:
        written["limit"] = rest.recent_limit
    if rest.recent is not None:
        written["lists"] = [{"name": each.name, "size": each.size} for each in rest.recent]
    return written or None


def _connections_document(rest: Evidence) -> dict[str, Any] | None:
    written: dict[str, Any] = {}
    if rest.connections is not None:
        written["count"] = rest.connections
    if rest.flows is not None:
        written["udp"] = [
            {
                "client": list(flow.client),
                "destination": list(flow.destination),
                "answers": list(flow.answers),
            }
            for flow in rest.flows
        ]
    return written or None


def from_document(value: object) -> Evidence:
    """What a snapshot says of a node.

    What a later version has added is passed over, and a gap says so. Raises InvalidInput with
    everything that is wrong.
    """
    snapshot, problems = _read(value)
    try:
        evidence = snapshot.evidence()
    except InvalidInput as error:
        problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return evidence


def snapshot_in(value: object) -> Snapshot:
    """As `from_document`, with the text of the tables as it is: nobody may need it parsed."""
    snapshot, problems = _read(value)
    if problems:
        raise InvalidInput(problems)
    return snapshot


def _read(value: object) -> tuple[Snapshot, list[Problem]]:
    reader = Reader("snapshot")
    if not isinstance(value, Mapping) or not is_snapshot(value):
        reader.problem(
            (),
            "this is not a snapshot",
            f'an object with "kind": "{KIND}", from `nptables snapshot`',
        )
        raise InvalidInput(reader.problems)
    return Snapshot(tuple(_tables(value, reader)), _rest(value, reader)), reader.problems


def _rest(raw: Object, reader: Reader) -> Evidence:
    recent = reader.mapping(raw, "recent")
    connections = reader.mapping(raw, "connections")
    return Evidence(
        _form(raw, reader),
        unread=tuple(_unread(raw, reader)),
        node=reader.text(raw, "node"),
        aliases=tuple(text for _, text in reader.texts(raw, "aliases")),
        taken=reader.text(raw, "taken"),
        facts=_facts(raw, reader),
        sysctls=_texts(raw, "sysctls", reader),
        ipset=reader.text(raw, "ipset") if raw.get("ipset") is not None else None,
        native=_if_given(raw, "nft", tuple(e for _, e in reader.objects(raw, "nft"))),
        bridges=_if_given(raw, "bridges", tuple(_bridges(raw, reader))),
        recent=_if_given(recent, "lists", tuple(_recent(recent, reader))),
        recent_limit=_number(recent, "limit", ("recent",), reader),
        flows=_if_given(connections, "udp", tuple(_flows(connections, reader))),
        connections=_number(connections, "count", ("connections",), reader),
        processes=_if_given(raw, "processes", tuple(_processes(raw, reader))),
        versions=_texts(raw, "versions", reader),
        gaps=(*_gaps(raw, reader), *_newer(raw, reader)),
    )


def _form(raw: Object, reader: Reader) -> Form:
    """The form that the rules had before somebody made a snapshot of them."""
    if raw.get("form") is None:
        return Form.SNAPSHOT
    known = {form.value: form for form in Form}
    return known.get(_choice(raw, "form", (), tuple(known), reader), Form.FRAGMENT)


def _unshown_in(raw: Object, path: Path, reader: Reader) -> Unshown:
    inner = reader.mapping(raw, "unshown", path)
    inside = (*path, "unshown")

    def names(key: str) -> frozenset[str]:
        return frozenset(text for _, text in reader.texts(inner, key, inside))

    comments = reader.boolean(inner, "comments", inside, default=False)
    return Unshown(names("tables"), names("open"), names("interfaces"), comments)


def _if_given(raw: Object, key: str, found: Found) -> Found | None:
    return found if raw.get(key) is not None else None


def _number(raw: Object, key: str, path: Path, reader: Reader) -> int | None:
    return _if_given(raw, key, reader.integer(raw, key, path))


def _texts(raw: Object, key: str, reader: Reader) -> dict[str, str] | None:
    return _if_given(raw, key, reader.labels(raw, key))


def _choice(raw: Object, key: str, path: Path, known: tuple[str, ...], reader: Reader) -> str:
    value = reader.text(raw, key, path)
    if value not in known:
        reader.problem(
            (*path, key), f"{quoted(value)} is not one of {', '.join(filter(None, known))}"
        )
    return value


def _family(raw: Object, path: Path, reader: Reader) -> Family:
    names = tuple(family.value for family in Family)
    value = _choice(raw, "family", path, names, reader)
    return Family(value) if value in names else Family.IPV4


def _tables(raw: Object, reader: Reader) -> Iterator[TableText]:
    """The tables; of a backend and family they come once."""
    seen = set()
    for path, entry in reader.objects(raw, "tables"):
        backend = _choice(entry, "backend", path, (*_BACKENDS, ""), reader)
        family = _family(entry, path, reader)
        if (backend, family) in seen:
            reader.problem(path, f"there are {backend} tables of {family.value} a second time")
        seen.add((backend, family))
        inner = (*path, "unread")
        unread = {
            name: tuple(t for _, t in reader.texts(reader.mapping(entry, "unread"), name, inner))
            for name in reader.mapping(entry, "unread", path)
        }
        unshown = _unshown_in(entry, path, reader)
        yield TableText(backend, family, reader.text(entry, "text", path), unread, unshown)


def _unread(raw: Object, reader: Reader) -> Iterator[Unread]:
    for path, entry in reader.objects(raw, "unreadTables"):
        backend = _choice(entry, "backend", path, _BACKENDS, reader)
        chains = tuple(text for _, text in reader.texts(entry, "chains", path))
        yield Unread(backend, _family(entry, path, reader), chains)


def _facts(raw: Object, reader: Reader) -> NodeFacts | None:
    if raw.get("facts") is None:
        return None
    facts = reader.mapping(raw, "facts")
    try:
        return NodeFacts.from_mapping({k: v for k, v in facts.items() if k in FACT_KEYS})
    except InvalidInput as error:
        for problem in error.problems:
            reader.problem(("facts", *problem.path), problem.message, problem.hint)
        return None


def _bridges(raw: Object, reader: Reader) -> Iterator[Bridge]:
    for path, entry in reader.objects(raw, "bridges"):
        networks = tuple(text for _, text in reader.texts(entry, "networks", path))
        ports = tuple(text for _, text in reader.texts(entry, "withoutHairpin", path))
        yield Bridge(reader.text(entry, "name", path), networks, ports)


def _recent(raw: Object, reader: Reader) -> Iterator[RecentList]:
    for path, entry in reader.objects(raw, "lists", ("recent",)):
        yield RecentList(reader.text(entry, "name", path), reader.integer(entry, "size", path))


def _flows(raw: Object, reader: Reader) -> Iterator[Flow]:
    for path, entry in reader.objects(raw, "udp", ("connections",)):
        yield Flow(
            _pair(entry, "destination", path, reader),
            _pair(entry, "answers", path, reader),
            _pair(entry, "client", path, reader),
        )


def _pair(raw: Object, key: str, path: Path, reader: Reader) -> AddressAndPort:
    value = reader.items(raw, key, path)
    if len(value) == 2:
        address, port = value
        if isinstance(address, str) and isinstance(port, int) and not isinstance(port, bool):
            return address, port
    reader.problem((*path, key), "must be an address and a port", 'such as ["10.96.0.10", 53]')
    return "", 0


def _processes(raw: Object, reader: Reader) -> Iterator[Process]:
    """The processes, whoever wrote them down: nothing secret gets past here either."""
    for path, entry in reader.objects(raw, "processes"):
        configuration = None
        if entry.get("configuration") is not None:
            configuration = without_secret_fields(reader.mapping(entry, "configuration", path))
        yield Process(
            reader.text(entry, "name", path),
            reader.integer(entry, "pid", path),
            without_secrets([text for _, text in reader.texts(entry, "arguments", path)]),
            configuration,
            reader.text(entry, "mode", path),
            reader.text(entry, "version", path),
        )


def _gaps(raw: Object, reader: Reader) -> Iterator[Gap]:
    for path, entry in reader.objects(raw, "gaps"):
        yield Gap(reader.text(entry, "what", path), reader.text(entry, "why", path))


def _newer(raw: Object, reader: Reader) -> Iterator[Gap]:
    """What a later version has added."""
    version = reader.integer(raw, "version")
    if version < 1:
        reader.problem(("version",), "must be 1 or more")
    if version > VERSION:
        yield Gap(
            "parts of the snapshot",
            f"it is of version {version}, and this nptables knows {VERSION}",
        )
    unknown = [quoted(str(key)) for key in raw if key not in _FIELDS]
    unknown += [quoted(f"facts.{key}") for key in _keys(raw, "facts") if key not in FACT_KEYS]
    if unknown:
        why = "this nptables does not know what it is"
        yield from (Gap(f"{field} of the snapshot", why) for field in unknown)


def _keys(raw: Object, key: str) -> tuple[str, ...]:
    value = raw.get(key)
    return tuple(map(str, value)) if isinstance(value, Mapping) else ()
