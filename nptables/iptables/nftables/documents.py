"""What `nft -j list` prints, as the text that `nft list` prints of the same tables.

The expressions of libnftables-json(5) that stand in rules of iptables are written as text;
everything else is not understood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nptables.inet import with_port
from nptables.iptables.nftables.rules import UNNAMED
from nptables.iptables.nftables.tables import NftChain, NftTable, NftText

# What stands for an expression that has no text here. No statement of nft begins so.
_NO_TEXT = "json"
_KINDS = ("metainfo", "table", "chain", "rule")


def read_document(value: Mapping[str, Any]) -> NftText:
    """The tables of a document; objects of other kinds are skipped."""
    entries = value.get("nftables")
    found = NftText(all_tables=True)
    tables: dict[tuple[str, str], NftTable] = {}
    chains: dict[tuple[str, str, str], NftChain] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        if not isinstance(entry, Mapping):
            found.strays.append((number, json.dumps(entry)[:80]))
            continue
        for kind, raw in entry.items():
            if not isinstance(raw, Mapping):
                continue
            family, name = str(raw.get("family", "")), str(raw.get("name", ""))
            table = str(raw.get("table", name if kind == "table" else ""))
            if kind not in _KINDS or kind == "metainfo":
                continue
            whole = kind != "rule"
            place = tables.setdefault((family, table), NftTable(family, table, whole=whole))
            if kind == "chain":
                chain = _chain(chains, place, family, name)
                chain.base = _base(raw) if "hook" in raw else None
            elif kind == "rule":
                # A rule of a chain that is not there: the document is a part of one.
                known = (family, table, str(raw.get("chain"))) in chains
                place.whole = place.whole and known
                chain = _chain(chains, place, family, str(raw.get("chain", "")))
                chain.rules.append((number, rule_text(raw.get("expr"), raw.get("comment"))))
    found.tables = list(tables.values())
    return found


def _chain(
    chains: dict[tuple[str, str, str], NftChain], table: NftTable, family: str, name: str
) -> NftChain:
    key = (family, table.name, name)
    if key not in chains:
        chains[key] = NftChain(name, whole=True)
        table.chains.append(chains[key])
    return chains[key]


def _base(raw: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        str(raw.get("type", "")),
        str(raw.get("hook", "")),
        str(raw.get("prio", "")),
        str(raw.get("policy", "accept")),
    )


def rule_text(expressions: object, comment: object = None) -> str:
    """A rule's expressions as `nft list` prints them."""
    if not isinstance(expressions, list):
        return f"{_NO_TEXT} expr"
    words = [_statement(each) for each in expressions]
    if isinstance(comment, str):
        words.append(f"comment {_quoted(comment)}")
    return " ".join(words)


def _quoted(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _unknown(value: object) -> str:
    # In braces, which hold together whatever is in it.
    return f"{_NO_TEXT} {_quoted(json.dumps(value, sort_keys=True)[:120])}"


def _statement(value: object) -> str:
    if not isinstance(value, Mapping) or len(value) != 1:
        return _unknown(value)
    ((kind, inner),) = value.items()
    try:
        return _written(str(kind), inner)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _unknown(value)


def _written(kind: str, inner: Any) -> str:
    match kind:
        case "match":
            return _match(inner)
        case "counter":
            return "counter"
        case "accept" | "drop" | "return" | "continue" | "notrack":
            return kind
        case "jump" | "goto":
            return f"{kind} {inner['target']}"
        case "xt":
            if not isinstance(inner, Mapping):
                # Up to nftables 1.0.5 they have no names.
                return UNNAMED
            return f'xt {inner["type"]} "{inner["name"]}"'
        case "limit" | "log" | "reject":
            return _WRITERS[kind](inner or {})
        case "dnat" | "snat" | "masquerade" | "redirect":
            return _translation(kind, inner or {})
        case "mangle":
            return f"{_value(inner['key'])} set {_value(inner['value'])}"
        case "queue":
            flags = inner.get("flags", [])
            flags = [flags] if isinstance(flags, str) else flags
            return " ".join([f"queue num {_value(inner['num'])}", *flags])
    raise ValueError(kind)


def _match(inner: Mapping[str, Any]) -> str:
    left, operator, right = inner["left"], inner["op"], inner["right"]
    sign = {"==": "", "in": ""}.get(operator, f"{operator} ")
    if isinstance(left, Mapping) and "&" in left:
        first, mask = left["&"]
        sign = f"& {_value(mask)} {operator} "
        left = first
    text = _value(left)
    return f"{text} {sign}{_value(right, named=text in ('iifname', 'oifname', 'ct helper'))}"


def _value(value: Any, *, named: bool = False) -> str:
    """A value as text. Raises ValueError for what has none here."""
    if isinstance(value, bool):
        raise ValueError(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value) if named else value
    if isinstance(value, list):
        return ",".join(map(_value, value))
    ((kind, inner),) = value.items()
    return _expression(kind, inner)


def _expression(kind: str, inner: Any) -> str:
    """An expression as text. Raises ValueError for what has none here."""
    match kind:
        case "meta":
            key = inner["key"]
            return key if key in ("iifname", "oifname") else f"meta {key}"
        case "payload":
            return f"{inner['protocol']} {inner['field']}"
        case "ct":
            direction = f"{inner['dir']} " if "dir" in inner else ""
            return f"ct {direction}{inner['key']}"
        case "fib":
            return f"fib {' . '.join(_list(inner['flags']))} {inner['result']}"
        case "prefix":
            return f"{inner['addr']}/{inner['len']}"
        case "range":
            first, last = inner
            return f"{_value(first)}-{_value(last)}"
        case "set":
            return "{ " + ", ".join(map(_value, _list(inner))) + " }"
        case "|":
            return ",".join(map(_value, inner))
        case "^" | "&":
            return f" {kind} ".join(map(_value, inner))
        case "numgen" if inner.get("mode") == "inc":
            return f"numgen inc mod {inner['mod']}"
    raise ValueError(kind)


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _limit(inner: Mapping[str, Any]) -> str:
    if inner.get("inv") or "rate_unit" in inner:
        raise ValueError(inner)
    burst = f" burst {inner['burst']} packets" if "burst" in inner else ""
    return f"limit rate {inner['rate']}/{inner['per']}{burst}"


def _log(inner: Mapping[str, Any]) -> str:
    words = ["log"]
    if "prefix" in inner:
        words.append(f"prefix {_quoted(inner['prefix'])}")
    keys = ("group", "queue-threshold", "snaplen", "level")
    words += [f"{key} {inner[key]}" for key in keys if key in inner]
    return " ".join(words)


def _reject(inner: Mapping[str, Any]) -> str:
    if not inner:
        return "reject"
    if inner.get("type") == "tcp reset":
        return "reject with tcp reset"
    return f"reject with {inner['type']} type {inner['expr']}"


_WRITERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "limit": _limit, "log": _log, "reject": _reject,
}  # fmt: skip


def _translation(kind: str, inner: Mapping[str, Any]) -> str:
    address = inner.get("addr")
    to = _value(address) if address is not None else ""
    if "port" in inner:
        to = with_port(to, _value(inner["port"]))
    flags = list(map(str, _list(inner.get("flags", []))))
    return " ".join([kind, *([f"to {to}"] if to else []), *flags])
