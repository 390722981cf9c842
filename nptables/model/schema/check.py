"""Whether a mapping has the shape of its kind: no unknown field, no value of a wrong type.

These are the mistakes that an API server refuses before it looks at any value (code 400), and
that `kubectl --validate=strict` finds. A large cluster has millions of fields and next to no
mistakes, so one pass only answers yes or no, and a second one, after a no, finds the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from nptables.errors import Path, printable
from nptables.model.reading import Reader, nearest
from nptables.model.schema.types import FIELDS

UNKNOWN_FIELD = "unknown field"
# RFC 3339, as metav1.Time of k8s.io/apimachinery reads.
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
# What the fast pass compares the class of a value with; every other type is a function.
_CLASSES: Mapping[str, type] = {"str": str, "int": int, "bool": bool}
_Check = Callable[[Any], bool]
_Compiled = dict[str, Any]


def conforms(value: Any, type_name: str) -> bool:
    """Whether `value` is surely of the shape of a type; False means look closer."""
    return _conforms(value, _compiled(type_name))


def shape_problems(value: Any, type_name: str, reader: Reader) -> None:
    """Note every unknown field and wrong type of an object."""
    _explain_object(value, type_name, (), reader, type_name)


def _conforms(value: Any, fields: _Compiled) -> bool:
    if value.__class__ is not dict:
        return False
    wanted_of = fields.get
    for key, item in value.items():
        wanted = wanted_of(key)
        # By identity of the class, which is faster than isinstance and tells a bool from an int.
        if item.__class__ is wanted:
            continue
        # None of an unknown field is a mistake, too.
        if wanted is None:
            return False
        # The API takes null for absent, in every field.
        if item is None:
            continue
        if wanted.__class__ is dict:
            if not _conforms(item, wanted):
                return False
        elif wanted.__class__ is type or not wanted(item):
            return False
    return True


@cache
def _compiled(type_name: str) -> _Compiled:
    """For each field its class, its own compiled type, or a function that checks it."""
    return {field: _check_of(text) for field, text in FIELDS[type_name].items()}


def _check_of(text: str) -> Any:
    if text in _CLASSES:
        return _CLASSES[text]
    if text == "any":
        return lambda _: True
    if text == "time":
        return lambda item: item.__class__ is str and _TIME.fullmatch(item) is not None
    if text == "quantity":
        return lambda item: item.__class__ is str
    if text == "int-or-str":
        return lambda item: item.__class__ is int or item.__class__ is str
    if text.startswith("[]"):
        return _list_check(text[2:])
    if text.startswith("{}"):
        return _map_check(text[2:])
    return _compiled(text)


def _list_check(inner: str) -> _Check:
    if inner in _CLASSES:
        wanted = _CLASSES[inner]
        return lambda item: (
            item.__class__ is list
            and (
                (len(item) == 1 and item[0].__class__ is wanted)
                or all([i.__class__ is wanted for i in item])  # noqa: C419 - faster as a list
            )
        )
    if inner[:1].isupper():
        fields = _compiled(inner)
        return lambda item: (
            item.__class__ is list
            and all(
                [_conforms(i, fields) for i in item]  # noqa: C419 - faster as a list
            )
        )
    check: _Check = _check_of(inner)
    return lambda item: item.__class__ is list and all(check(i) for i in item)


def _map_check(inner: str) -> _Check:
    keys, values = frozenset({str}), frozenset({_CLASSES.get(inner, str)})
    return lambda item: (
        item.__class__ is dict
        and keys.issuperset(map(type, item))
        and values.issuperset(map(type, item.values()))
    )


def _explain_object(value: Any, type_name: str, path: Path, reader: Reader, root: str) -> None:
    if not isinstance(value, Mapping):
        reader.wrong_type(path, value, "an object")
        return
    fields = FIELDS[type_name]
    for key, item in value.items():
        wanted = fields.get(key) if isinstance(key, str) else None
        if wanted is None:
            hint, meant = _meant(str(key), path, type_name, root)
            reader.ill_shaped((*path, str(key)), UNKNOWN_FIELD, hint)
            if meant is not None and not (meant[:-1] == path and meant[-1] in value):
                reader.silence(meant)
        elif item is not None:
            _explain(item, wanted, (*path, key), reader, root)


def _explain(item: Any, wanted: str, path: Path, reader: Reader, root: str) -> None:
    if wanted.startswith("[]"):
        if not isinstance(item, list | tuple):
            hint = "begin each item with '- '" if isinstance(item, Mapping) else ""
            if not hint and isinstance(item, str | int | float) and wanted in ("[]str", "[]int"):
                hint = f"write [{printable(str(item), 40)}]"
            reader.wrong_type(path, item, "a list", hint)
            return
        for position, inner in enumerate(item):
            if inner is not None:
                _explain(inner, wanted[2:], (*path, position), reader, root)
    elif wanted.startswith("{}"):
        _explain_map(item, wanted[2:], path, reader)
    elif wanted[:1].isupper():
        _explain_object(item, wanted, path, reader, root)
    else:
        _explain_scalar(item, wanted, path, reader)


def _explain_map(item: Any, wanted: str, path: Path, reader: Reader) -> None:
    if not isinstance(item, Mapping):
        reader.wrong_type(path, item, "an object")
        return
    for key, value in item.items():
        if value is not None:
            _explain_scalar(value, wanted, (*path, str(key)), reader)


def _explain_scalar(item: Any, wanted: str, path: Path, reader: Reader) -> None:
    number = isinstance(item, int | float) and not isinstance(item, bool)
    whole = number and (isinstance(item, int) or item.is_integer())
    if wanted == "time":
        if not isinstance(item, str) or not _TIME.fullmatch(item):
            reader.ill_shaped(path, "is not a time", "such as 2026-01-31T12:00:00Z")
    elif wanted == "int-or-str":
        if not whole and not isinstance(item, str):
            reader.wrong_type(path, item, "a whole number or text")
    elif wanted == "quantity":
        if not number and not isinstance(item, str):
            reader.wrong_type(path, item, "a quantity", "such as 100m or 64Mi")
    elif wanted == "int":
        if not whole:
            reader.wrong_type(path, item, "a whole number")
    elif wanted == "bool":
        if not isinstance(item, bool):
            hint = f"write {item.lower()} without quotes" if _is_bool_text(item) else ""
            reader.wrong_type(path, item, "true or false", hint)
    elif wanted == "str" and not isinstance(item, str):
        reader.wrong_type(path, item, "a string")


def _is_bool_text(item: Any) -> bool:
    return isinstance(item, str) and item.lower() in ("true", "false")


def _meant(key: str, path: Path, type_name: str, root: str) -> tuple[str, Path | None]:
    """In words and as a path what was most likely meant: a similar name, or another place."""
    hint = nearest(key, list(FIELDS[type_name]))
    if hint:
        return hint, (*path, hint.removeprefix("did you mean ").removesuffix("?"))
    elsewhere = _elsewhere(key, root)
    if elsewhere:
        return f"it belongs under {elsewhere}", (*elsewhere.split("."), key)
    known = sorted(FIELDS[type_name])
    return (f"one of {', '.join(known)}" if len(known) <= 6 else ""), None


@cache
def _elsewhere(key: str, root: str) -> str:
    """Where in a kind the field `key` belongs, the shallowest place first."""
    level = [("", root)]
    seen = {root}
    while level:
        below = []
        for path, type_name in level:
            fields = FIELDS[type_name]
            if key in fields and path:
                return path
            for field, text in fields.items():
                name = text.lstrip("[]{}")
                if name[:1].isupper() and name not in seen and name != "ManagedFieldsEntry":
                    seen.add(name)
                    here = f"{path}.{field}" if path else field
                    below.append((here + "[]" if text.startswith("[]") else here, name))
        level = below
    return ""
