"""The document of a translation as JSON text, in a fraction of the time that dumping it takes.

A large cluster has 100,000s of rules and a few dozen shapes of them: all that differs between the
rules of one shape are values. So a rule is parsed, and made into text, once for each shape; the
values of the others are filled in.
"""

from __future__ import annotations

import json
import re
from functools import cache
from json.encoder import encode_basestring

from nptables.gcpause import collector_paused
from nptables.iptables import Ruleset, Table
from nptables.rendering.document import (
    chain_document,
    origin_document,
    rule_parts,
    to_document,
)
from nptables.translation import Origin, Translation


def to_json(ruleset: Ruleset, translation: Translation, *keys: tuple[str, str]) -> str:
    """What `json.dumps(to_document(...), ensure_ascii=False)` gives, byte for byte."""
    with collector_paused():
        around = _dumps(to_document(Ruleset(ruleset.family, {}), translation, *keys))
        before, between, after = around.partition('"tables": [')
        writer = _Writer(translation)
        tables = ", ".join(writer.table(table) for table in ruleset.tables.values())
        return f"{before}{between}{tables}{after}"


_dumps = json.JSONEncoder(ensure_ascii=False).encode


# What of a rule line is a value: text in quotes, the name of a chain of ours, and whatever is no
# option, no match, no protocol and no target. On these, and on options, the shape depends.
_VALUE = re.compile(r'("[^"]*"|(?<= -j )KUBE-[^ ]+|(?<! -m )(?<! -p )(?<! -j )(?<= )[^-!" ][^ ]*)')
_SLOT = re.compile('"\ue000([0-9]+)\ue000"')

# Text and, between each two, the number of the value that stands there.
_Template = tuple[list[str], list[int]]


class _Writer:
    """Writes the rules of one translation."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._templates: dict[tuple[str, ...], _Template | None] = {}
        self._origin_text = cache(_origin_text)

    def table(self, table: Table) -> str:
        """A table with its chains."""
        chains = ", ".join(
            f"{_dumps(chain_document(table, name, self._translation))[:-1]}, "
            f'"rules": [{", ".join([self._rule(table.name, name, line) for line in lines])}]}}'
            for name, lines in table.chains.items()
        )
        return f'{{"name": {encode_basestring(table.name)}, "chains": [{chains}]}}'

    def _rule(self, table: str, chain: str, line: str) -> str:
        origin = self._origin_text(self._translation.origin_in(table, chain, line))
        return f'{{"line": {encode_basestring(line)}, {self._parts(line)}, "origin": {origin}}}'

    def _parts(self, line: str) -> str:
        """What `rule_parts` gives, as text without the braces around it."""
        pieces = _VALUE.split(line)
        shape, values = tuple(pieces[::2]), pieces[1::2]
        try:
            template = self._templates[shape]
        except KeyError:
            template = self._templates[shape] = self._template(line, pieces)
        # A value in quotes with an escape needs parsing.
        if template is None or "\\" in line:
            return _dumps(rule_parts(line, self._translation.family))[1:-1]
        return _filled(template, values)

    def _template(self, line: str, pieces: list[str]) -> _Template | None:
        """The text of a shape, or None where the values of a line cannot be told apart in it."""
        family = self._translation.family
        marked = list(pieces)
        for number, value in enumerate(pieces[1::2]):
            mark = f"\ue000{number}\ue000"
            marked[2 * number + 1] = f'"{mark}"' if value[0] == '"' else mark
        text = _dumps(rule_parts("".join(marked), family))[1:-1]
        found = _SLOT.split(text)
        template = found[::2], [int(number) for number in found[1::2]]
        right = _dumps(rule_parts(line, family))[1:-1]
        return template if _filled(template, pieces[1::2]) == right else None


def _filled(template: _Template, values: list[str]) -> str:
    texts, numbers = template
    parts = [texts[0]]
    for number, text in zip(numbers, texts[1:], strict=True):
        parts += (encode_basestring(values[number].strip('"')), text)
    return "".join(parts)


def _origin_text(origin: Origin) -> str:
    return _dumps(origin_document(origin))
