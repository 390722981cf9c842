"""Settings, the kernel, the time and the name of a node, as programs print them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SWAPPED = str.maketrans("./", "/.")
_SETTING = re.compile(r"^([a-z][\w./:@+-]*) ?= ?(.*)$")
_UNAME = re.compile(r"^Linux (\S+) (\d\S*) ")
_DATE = re.compile(
    r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*,? +(?:"
    r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) +(?P<time>\d\d:\d\d:\d\d) (?P<noon>AM |PM )?"
    r"(?P<zone>[A-Z]{1,5}|[+-]\d{4}) (?P<year>\d{4})"
    r"|(?P<day2>\d{1,2}) (?P<month2>[A-Z][a-z]{2}) (?P<year2>\d{4}) (?P<time2>\d\d:\d\d:\d\d)"
    r" (?P<noon2>AM |PM )?(?P<zone2>[A-Z]{1,5}|[+-]\d{4}))"
)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)? ?(Z\b|UTC\b|[+-]\d\d:?\d\d\b)", re.ASCII
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def settings_shown(text: str) -> dict[str, str]:
    """Settings by their path below /proc/sys, from `sysctl -a`, which puts dots for slashes."""
    found = {}
    for line in text.splitlines():
        setting = _SETTING.match(line)
        if setting is not None:
            found[setting[1].translate(_SWAPPED)] = setting[2].strip().replace("\t", " ")
    return found


def kernel_shown(text: str) -> tuple[str, str]:
    """The name of the node and the version of the kernel, from `uname -a`; else empty strings."""
    found = _UNAME.search(text)
    return (found[1], found[2]) if found else ("", "")


def host_named(text: str) -> str:
    """The name that `hostname` prints, or an empty string for what is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1 or not _NAME.fullmatch(lines[0]) or lines[0] == "localhost":
        return ""
    return lines[0]


def date_shown(text: str) -> str:
    """The first time that `date` prints in UTC, or with an offset, in RFC 3339; else empty."""
    iso, found = _ISO.search(text), _DATE.search(text)
    if iso is not None and (found is None or iso.start() < found.start()):
        zone = "+00:00" if iso[3] in ("Z", "UTC") else iso[3]
        return _rfc(f"{iso[1]} {iso[2]} {zone}", "%Y-%m-%d %H:%M:%S %z")
    if found is None:
        return ""
    parts = [found[key] or found[f"{key}2"] for key in ("day", "month", "year", "time", "zone")]
    noon = (found["noon"] or found["noon2"] or "").strip()
    if parts[4] in ("UTC", "GMT", "Z"):
        parts[4] = "+0000"
    clock = "%I:%M:%S" if noon else "%H:%M:%S"
    return _rfc(" ".join([*parts, noon]).strip(), f"%d %b %Y {clock} %z{' %p' * bool(noon)}")


def _rfc(text: str, form: str) -> str:
    try:
        found = datetime.strptime(text, form).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")
