"""One line an event: text for a terminal, JSON for everything else.

Whatever comes from an object is escaped: nothing in it ends a line or moves a cursor.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from nptables.errors import printable

LEVELS = ("debug", "info", "warning", "error")
_LONGEST = 4000
# For so many seconds a warning that was said is not said again.
_QUIET = 60.0


class Log:
    """Writes events at or above a level to a stream.

    `wall` gives seconds since the epoch, `clock` monotonic ones.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        level: str,
        as_json: bool,
        wall: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._least = LEVELS.index(level)
        self._as_json = as_json
        self._wall = wall
        self._clock = clock
        self._repeated: dict[str, tuple[float, int]] = {}

    def debug(self, event: str, **fields: object) -> None:
        """Details of every sync."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Rare, and good to know."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Somebody should look, some time."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something does not work."""
        self._write("error", event, fields)

    def repeating(self, event: str, *, about: str, **fields: object) -> None:
        """A warning that may come often: said once a minute for each `about`, and how often."""
        now = self._clock()
        said, left_out = self._repeated.get(about, (-float("inf"), 0))
        if now - said < _QUIET:
            self._repeated[about] = (said, left_out + 1)
            return
        # `about` may hold names of objects, and whoever makes many of those must not fill our
        # memory.
        if len(self._repeated) >= 1000:
            self._repeated.clear()
        self._repeated[about] = (now, 0)
        more: dict[str, object] = {"leftOut": left_out} if left_out else {}
        self._write("warning", event, {**fields, **more})

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        if LEVELS.index(level) < self._least:
            return
        moment = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds")
        write = _as_json if self._as_json else _as_text
        line = write(moment, level, event, fields)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # A full disk or a reader that left must not stop the agent.
            return


@contextlib.contextmanager
def words_of_libraries(log: Log) -> Iterator[None]:
    """Write to the log what libraries warn of, which would stand beside it as it comes."""

    def warn(message: Warning | str, category: type[Warning], *_: object) -> None:
        log.repeating(
            "a library warns", about=category.__name__, kind=category.__name__, reason=str(message)
        )

    handler = _Forwarding(log)
    root = logging.getLogger()
    with warnings.catch_warnings():
        warnings.showwarning = warn  # type: ignore[assignment]
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)


class _Forwarding(logging.Handler):
    """Hands records at or above a warning to a Log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - somebody else's words do not fit
            said = str(record.msg)
        self._log.repeating("a library warns", about=record.name, kind=record.name, reason=said)


def _as_json(time: str, level: str, event: str, fields: Mapping[str, object]) -> str:
    document: dict[str, Any] = {"time": time, "level": level, "event": event}
    document.update((key, _plain(value)) for key, value in fields.items())
    return json.dumps(document)


def _as_text(time: str, level: str, event: str, fields: Mapping[str, object]) -> str:
    words = [f"{time[11:23]} {level:7} {printable(event, _LONGEST)}"]
    for key, value in fields.items():
        shown = _plain(value)
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        if " " in text or not text:
            text = f'"{text}"' if isinstance(shown, str) else text
        words.append(f"{key}={printable(text, _LONGEST)}")
    return " ".join(words)


def _plain(value: object) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return printable(str(value), _LONGEST)
