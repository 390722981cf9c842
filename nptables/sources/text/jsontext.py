"""JSON as kubectl reads it: one document, several in a row, or one a line.

Places are looked up only where something is wrong, by going over the text once more: knowing
them all would cost a large cluster more than everything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nptables.errors import Path, Problem, printable
from nptables.sources.text.nesting import IN_WEBASSEMBLY, is_too_deep
from nptables.sources.text.parsed import TOO_DEEP, Early, Locate, Parsed, identity

_SPACE = re.compile(r"[ \t\n\r]*")
_LIKE_JSON = r"\s*(?:{\s*(?:\"|}|$)|\[\s*(?:[{\[\]]|$))"
_DECODER = json.JSONDecoder()


def looks_like_json(name: str, text: str) -> bool:
    """Whether a text is meant as JSON: YAML's flow style begins alike but without quotes."""
    if name.lower().endswith(".json"):
        return True
    if name.lower().endswith((".yaml", ".yml")) and text[:1] not in "{[":
        return False
    return re.match(_LIKE_JSON, text) is not None


def parse_json(text: str, early: Early | None = None) -> tuple[list[Parsed], list[Problem]]:
    """Every document of a JSON text, and what is wrong with the text.

    `early` is called with each object that has a field `endpoints`, as soon as it is complete.
    """
    documents: list[Parsed] = []
    problems: list[Problem] = []
    position = _skip(text, 0)
    if IN_WEBASSEMBLY and is_too_deep(text):
        return [], [_problem(text, position, TOO_DEEP, "no Kubernetes object is")]
    while position < len(text):
        finder = _Duplicates(early)
        try:
            value, end = finder.decoder.raw_decode(text, position)
        except RecursionError:
            problems.append(_problem(text, position, TOO_DEEP, "no Kubernetes object is"))
            break
        except json.JSONDecodeError as error:
            problems.append(_in_words(text, error))
            break
        except _NotANumber as error:
            at = text.find(error.args[0], position)
            problems.append(_problem(text, at, f"JSON: {error.args[0]} is not a JSON number"))
            break
        except ValueError:
            problems.append(
                _problem(text, position, "JSON: a number in it has thousands of digits")
            )
            break
        documents.append(Parsed(value, _locator(text, position)))
        if finder.found:
            problems.extend(_duplicates(text, position, value))
        position = _skip(text, end)
    return documents, problems


class _NotANumber(ValueError):
    pass


class _Duplicates:
    """A decoder that notices when an object has a key twice."""

    def __init__(self, early: Early | None) -> None:
        self.found = False
        self._early = early
        self.decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=_constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.found = True
        elif "endpoints" in found and self._early is not None:
            self._early(found)
        return found


def _constant(name: str) -> Any:
    raise _NotANumber(name)


def _duplicates(text: str, start: int, root: Any) -> list[Problem]:
    kind, namespace, name = identity(root)
    found = []
    pending: list[tuple[Path, int]] = [((), start)]
    while pending:
        path, position = pending.pop()
        seen: dict[str | int, int] = {}
        for step, key_at, value_at, is_container in _children(text, position):
            if step in seen:
                line, column = _line_and_column(text, key_at)
                first, _ = _line_and_column(text, seen[step])
                found.append(
                    Problem(
                        "is given twice",
                        hint=f"the first is in line {first}; keep one",
                        kind=kind,
                        namespace=namespace,
                        name=name,
                        path=(*path, step),
                        line=line,
                        column=column,
                    )
                )
            seen[step] = key_at
            if is_container:
                pending.append(((*path, step), value_at))
    return sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0))


def _locator(text: str, start: int) -> Locate:
    indices: dict[int, dict[str | int, tuple[int, int]]] = {}

    def locate(path: Path) -> tuple[int, int] | None:
        position, at = start, start
        for step in path:
            if position not in indices:
                indices[position] = {
                    step: (key_at, value_at)
                    for step, key_at, value_at, _ in _children(text, position)
                }
            child = indices[position].get(step)
            if child is None:
                break
            at, position = child
        return _line_and_column(text, at)

    return locate


def _children(text: str, position: int) -> Iterator[tuple[str | int, int, int, bool]]:
    """Step, place of the key, place of the value of each child of the container at `position`."""
    opening = text[position : position + 1]
    if opening not in ("{", "["):
        return
    closing = "}" if opening == "{" else "]"
    index = 0
    position = _skip(text, position + 1)
    while position < len(text) and text[position] != closing:
        key_at = position
        step: str | int = index
        if opening == "{":
            step, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)
        value_at = position
        yield step, key_at, value_at, text[value_at] in "{["
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
        index += 1


def _in_words(text: str, error: json.JSONDecodeError) -> Problem:
    at = error.pos
    if error.msg.startswith("Illegal trailing comma"):
        # From Python 3.13 on the place is that of the comma, before that of what follows it.
        at = _skip(text, at + 1)
    char = text[at : at + 1]
    before = text[:at].rstrip()[-1:]
    message, hint = error.msg[:1].lower() + error.msg[1:], ""
    if at >= len(text.rstrip()):
        message, hint = "the text ends in the middle of a value", "was it cut off?"
    elif char in "}]" and before == ",":
        message, hint = f"a comma stands before the closing {char}", "remove the comma"
    elif char == "'":
        message, hint = "single quotes are not JSON", 'use "double quotes"'
    elif text.startswith(("//", "/*", "#"), at):
        message, hint = "comments are not JSON", "remove it, or write YAML"
    elif "Expecting ',' delimiter" in error.msg:
        message, hint = "a comma is missing before this", "or a closing bracket or quote"
    elif "Expecting ':' delimiter" in error.msg:
        message, hint = "a colon is missing after the key", ""
    elif "property name enclosed in double quotes" in error.msg:
        message, hint = "a key must be in double quotes", 'such as "spec": ...'
    elif "Unterminated string" in error.msg:
        message, hint = "a quote is opened here and never closed", "add the closing quote"
    elif "control character" in error.msg:
        message, hint = "a string contains a line break or a control character", "write \\n"
    elif "Expecting value" in error.msg:
        message, hint = (
            f"this is not a value: {printable(text[at : at + 20].split(maxsplit=1)[0], 20)}",
            "",
        )
    return _problem(text, at, f"JSON: {message}", hint)


def _problem(text: str, position: int, message: str, hint: str = "") -> Problem:
    line, column = _line_and_column(text, position)
    return Problem(message, hint=hint, line=line, column=column)


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
