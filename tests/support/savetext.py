"""Reads and compares what iptables-save prints, knowing nothing of the library under test."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# Here kube-proxy visits the service ports in no particular order.
SHARED_CHAINS = frozenset(
    {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"}
)
_DECLARATION = re.compile(r":(\S+) ((?:ACCEPT|DROP|-) \[\d+:\d+\])")
_RULE = re.compile(r"-A (\S+) .+")
_SERVICE_PORT = re.compile(r'--comment "([^"/ ]+/[^" ]+)[" ]')
_LAST_JUMP = " -j KUBE-NODEPORTS"


@dataclass
class Chain:
    """A chain's policy with its counters, and its rules as they stand."""

    declaration: str
    rules: list[str] = field(default_factory=list)


def parse_save(text: str) -> dict[tuple[str, str], Chain]:
    """Split a dump into its chains by (table, name); whatever is no such line is an error."""
    chains: dict[tuple[str, str], Chain] = {}
    table: str | None = None
    for line in text.splitlines():
        if table is None and line.startswith("*"):
            table = line[1:]
        elif table is not None and line == "COMMIT":
            table = None
        elif table is not None and (declared := _DECLARATION.fullmatch(line)):
            assert (table, declared[1]) not in chains, f"declared twice in {table}: {line}"
            chains[table, declared[1]] = Chain(declared[2])
        elif table is not None and (rule := _RULE.fullmatch(line)):
            assert (table, rule[1]) in chains, f"no such chain in {table}: {line}"
            chains[table, rule[1]].rules.append(line)
        else:
            raise AssertionError(f"not a line of iptables-save here: {line!r}")
    assert table is None, f"the table {table} has no COMMIT"
    return chains


def differences(expected: str, actual: str, *, shared: Collection[str] = ()) -> str:
    """Say where two dumps differ, one paragraph a chain; empty if they are equal.

    In the chains named by `shared` the order counts only among the rules of one service port,
    and the jumps to KUBE-NODEPORTS stand last.
    """
    want, got = parse_save(expected), parse_save(actual)
    paragraphs = []
    for key in sorted(want.keys() | got.keys()):
        name = f"{key[0]} {key[1]}"
        if key not in got:
            paragraphs.append(f"{name} is missing\n" + _diff(name, want[key].rules, []))
        elif key not in want:
            paragraphs.append(f"{name} is not wanted\n" + _diff(name, [], got[key].rules))
        else:
            compare = _shared_chain if key[1] in shared else _diff
            paragraphs.append(
                _diff(f"{name} policy", [want[key].declaration], [got[key].declaration])
                + compare(name, want[key].rules, got[key].rules)
            )
    return "\n".join(filter(None, paragraphs))


def _shared_chain(name: str, want: Sequence[str], got: Sequence[str]) -> str:
    if missing := _diff(f"{name} (sorted)", sorted(want), sorted(got)):
        return missing
    wanted_ports, ports = _by_service_port(want), _by_service_port(got)
    order = "".join(_diff(f"{name} of {port}", wanted_ports[port], ports[port]) for port in ports)
    jumps = sum(rule.endswith(_LAST_JUMP) for rule in got)
    if not all(rule.endswith(_LAST_JUMP) for rule in got[len(got) - jumps :]):
        order += f"{name}: rules stand after the jump to KUBE-NODEPORTS\n"
    return order


def _by_service_port(rules: Sequence[str]) -> dict[str, list[str]]:
    ports = defaultdict(list)
    for rule in rules:
        comment = _SERVICE_PORT.search(rule)
        ports[comment[1] if comment else rule].append(rule)
    return dict(ports)


def _diff(name: str, want: Sequence[str], got: Sequence[str]) -> str:
    lines = difflib.unified_diff(want, got, f"{name} expected", f"{name} actual", lineterm="", n=1)
    return "".join(f"{line}\n" for line in lines)
