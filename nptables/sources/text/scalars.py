"""What a plain YAML scalar means, as kubectl takes it.

kubectl reads YAML with go-yaml v2, which follows YAML 1.1 in part: `yes`, `on` and `y` are
booleans and 0123 is octal, but colons never make a number (no sexagesimals: an IPv6 address
stays text) and dates stay text.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

from nptables.errors import printable

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{
        form: value
        for value, words in (
            (True, ("y", "yes", "true", "on")),
            (False, ("n", "no", "false", "off")),
        )
        for word in words
        for form in (word, word.capitalize(), word.upper())
    },
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST_OF_NUMBER = frozenset("+-.0123456789")
_INTEGER = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
# The largest float has 309 digits. Python refuses integers with thousands of them.
_LONGEST_NUMBER = 400
_TAG = "tag:yaml.org,2002:"


class BadScalarError(Exception):
    """A scalar that no JSON value can stand for; the text says why."""


def plain(text: str) -> Any:
    """The value of an unquoted scalar. Raises BadScalarError for NaN and infinities."""
    if text[:1] not in _FIRST_OF_NUMBER:
        return _WORDS.get(text, text)
    if text in _WORDS:
        raise BadScalarError(f"{text} is not a number that JSON knows")
    if len(text) > _LONGEST_NUMBER:
        return text
    digits = text.replace("_", "")
    match = _INTEGER.fullmatch(digits)
    if match:
        sign, *forms = match.groups()
        value, base = next((f, b) for f, b in zip(forms, (16, 2, 8, 10), strict=True) if f)
        number = -int(value, base) if sign == "-" else int(value, base)
        # Beyond 64 bits go-yaml goes on with a float.
        return number if -(2**63) <= number < 2**64 else int(float(number))
    if _FLOAT.fullmatch(digits):
        number_or_infinite = float(digits)
        # strconv.ParseFloat refuses it, and go-yaml takes it for text.
        if math.isinf(number_or_infinite):
            return text
        # To JSON 80.0 and 80 are the same number.
        return int(number_or_infinite) if number_or_infinite.is_integer() else number_or_infinite
    return text


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with an explicit tag; a tag that is not YAML's own means text."""
    name = tag.removeprefix(_TAG) if tag.startswith(_TAG) else "str"
    if name in ("int", "float", "bool", "null"):
        value = plain(text)
        wanted: Any = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}[name]
        if isinstance(value, wanted):
            return value
        raise BadScalarError(f'"{printable(text, 60)}" is not what its tag !!{name} says')
    if name == "binary":
        try:
            return base64.b64decode(text, validate=False).decode("utf-8", "backslashreplace")
        except (binascii.Error, ValueError):
            raise BadScalarError("is tagged !!binary and is not base64") from None
    return text


def key_text(value: Any) -> str | None:
    """A mapping key as JSON text, the way kubectl writes it; None where it cannot be one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None
