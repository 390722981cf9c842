"""A translation as plain data, ready for JSON; docs/render.schema.json describes it."""

from __future__ import annotations

from typing import Any

from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.iptables import Ruleset, Table
from nptables.iptables.rule import Option, Rule
from nptables.translation import Decision, Origin, ServicePortName, Translation

Document = dict[str, Any]


def to_document(ruleset: Ruleset, translation: Translation, *keys: tuple[str, str]) -> Document:
    """Tables, chains and rules of `ruleset` (all of a translation, or the part of some Services).

    Every rule has its line, its parsed parts and what it came from.
    """
    with collector_paused():
        return {
            "family": translation.family.value,
            "node": translation.context.node_name,
            "tables": [_table(table, translation) for table in ruleset.tables.values()],
            "decisions": [
                _decision(decision)
                for decision in translation.decisions
                if not keys or decision.service.key in keys
            ],
            "warnings": [
                {"code": notice.code, "subject": notice.subject, "text": notice.text}
                for notice in translation.warnings
            ],
        }


def _table(table: Table, translation: Translation) -> Document:
    return {
        "name": table.name,
        "chains": [
            chain_document(table, chain, translation)
            | {"rules": [_rule(table.name, chain, line, translation) for line in lines]}
            for chain, lines in table.chains.items()
        ],
    }


def chain_document(table: Table, chain: str, translation: Translation) -> Document:
    """A chain without its rules."""
    owner = translation.owner_of_chain(chain) if table.name == "nat" else None
    return {
        "name": chain,
        "policy": table.policies.get(chain),
        "servicePort": _service_port(owner),
    }


def _rule(table: str, chain: str, line: str, translation: Translation) -> Document:
    return {
        "line": line,
        **rule_parts(line, translation.family),
        "origin": origin_document(translation.origin_in(table, chain, line)),
    }


def rule_parts(line: str, family: Family) -> Document:
    """What a rule says, parsed."""
    rule = Rule.parse(line, family)
    target = rule.target
    general = {
        "source": rule.source,
        "destination": rule.destination,
        "inInterface": rule.in_interface,
        "outInterface": rule.out_interface,
        "protocol": rule.protocol,
    }
    return {
        **{name: _option(option) for name, option in general.items() if option is not None},
        "matches": [
            {"name": match.name, "options": [_option(option) for option in match.options]}
            for match in rule.matches
        ],
        "target": None
        if target is None
        else {
            "name": target.name,
            "goto": target.goto,
            "options": [_option(option) for option in target.options],
        },
    }


def _option(option: Option) -> Document:
    return {"name": option.name, "values": list(option.values), "negated": option.negated}


def origin_document(origin: Origin) -> Document:
    """What made a rule."""
    return {
        "servicePort": _service_port(origin.service),
        "endpoint": origin.endpoint or None,
        "field": origin.field or None,
    }


def _service_port(name: ServicePortName | None) -> Document | None:
    if name is None:
        return None
    return {
        "namespace": name.namespace,
        "name": name.name,
        "port": name.port,
        "protocol": name.protocol,
    }


def _decision(decision: Decision) -> Document:
    return {
        "service": "/".join(decision.service.key),
        "servicePort": _service_port(decision.name),
        "reasons": [{"code": reason.code, "text": reason.text} for reason in decision.reasons],
    }
