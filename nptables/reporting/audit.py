"""What an audit found, as the page shows it: read from the document of `audit -o json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import InvalidInput, Problem


@attrs.frozen
class AuditCause:
    """Why some nodes are not what they should be, and what packets notice of it."""

    code: str
    message: str
    hint: str
    nodes: tuple[str, ...]
    services: tuple[str, ...]
    effects: tuple[str, ...] = ()
    name: str = ""
    severity: str = ""


@attrs.frozen
class Audit:
    """The nodes by verdict, and the causes in the order of the document: the worst first."""

    verdicts: Mapping[str, tuple[str, ...]]
    causes: tuple[AuditCause, ...]


def audit_of(document: Mapping[str, Any]) -> Audit:
    """The audit in the document of `nptables audit -o json`.

    Of a cause what packets notice is shown: its `effect`, its `example`, and `effects` as
    `diff --effects -o json` has them. Raises InvalidInput for anything else than such a document.
    """
    nodes, causes = document.get("nodes"), document.get("causes")
    if not isinstance(nodes, Sequence) or not isinstance(causes, Sequence):
        hint = 'as `nptables audit -o json` prints it: {"nodes": [...], "causes": [...]}'
        raise InvalidInput([Problem("is not an audit", hint=hint)])
    verdicts: dict[str, list[str]] = {}
    for node in nodes:
        verdicts.setdefault(str(node["verdict"]), []).append(str(node["name"]))
    found = [
        AuditCause(
            str(cause["code"]),
            str(cause.get("message", "")),
            str(cause.get("hint", "")),
            _texts(cause.get("nodes")),
            _texts(cause.get("services")),
            tuple(_effects(cause)),
            str(cause.get("name") or ""),
            str(cause.get("severity") or ""),
        )
        for cause in causes
    ]
    return Audit(
        {verdict: tuple(names) for verdict, names in sorted(verdicts.items())}, tuple(found)
    )


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(each) for each in value)
    return ()


def _effects(cause: Mapping[str, Any]) -> Iterator[str]:
    for key in ("effect", "example"):
        if cause.get(key):
            yield str(cause[key])
    for each in cause.get("effects") or ():
        yield _effect(each)


def _effect(value: object) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    before, after = (_verdict(value.get(key)) for key in ("before", "after"))
    return f"{value.get('service', '')} {value.get('to', '')}: {before} becomes {after}".strip()


def _verdict(value: object) -> str:
    return str(value.get("verdict", "?")) if isinstance(value, Mapping) else "?"
