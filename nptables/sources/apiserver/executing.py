"""Running a program in a container of a Pod, over the kubernetes client's own websocket stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from nptables.errors import ApiServerError, printable
from nptables.immutable import frozen
from nptables.sources.apiserver.refusals import error_of, reason_of
from nptables.sources.apiserver.transport import Connection

# No tables that a node can hold print more than this, in bytes.
MOST_OUTPUT = 512 * 1024 * 1024
# The channels of the protocol, as in kubernetes/stream/ws_client.py of the client.
_INPUT, _OUTPUT, _ERRORS, _STATUS = range(4)
_PIECE = 32768
# How long to wait for the next piece before looking at the clock, in seconds.
_TIMEOUT = 1.0


@frozen
class Finished:
    """What a program printed, and its exit code; `why` says why it could not be started."""

    output: bytes
    errors: bytes
    code: int
    why: str = ""


@frozen
class Container:
    """A container of a Pod that runs."""

    namespace: str
    pod: str
    container: str

    @property
    def path(self) -> str:
        """Where the API server takes requests to run something in it."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/exec"


class _TookTooLong(ApiServerError):
    """The time for a program is over."""


def execute(
    connection: Connection,
    container: Container,
    command: Sequence[str],
    *,
    seconds: float,
    whole: float = 0.0,
    given: bytes = b"",
    most: int = MOST_OUTPUT,
    clock: Callable[[], float] = time.monotonic,
) -> Finished:
    """Run a program to its end.

    Args:
        connection: To the API server; nobody else uses it meanwhile.
        container: Where it runs.
        command: The program and its arguments.
        seconds: How long it may take, from the first request on.
        whole: The limit of which these seconds are what is left, for the message; 0 for `seconds`.
        given: Its standard input. Of the protocol's versions only v5 can say that it ends.
        most: How many bytes it may print.
        clock: Monotonic seconds.

    Raises:
        ApiServerError: Where there is no such container, where it takes longer or prints more, and
            where the connection ends before the program.
    """
    end = clock() + seconds
    query = [("container", container.container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] * bool(given)
    query += [("command", word) for word in command]
    stream = connection.stream(f"{container.path}?{urlencode(query)}", seconds)

    def guard() -> None:
        if clock() > end:
            raise _TookTooLong(f"it took longer than {whole or seconds:.3g} seconds")

    channels = _Channels(most, guard)
    # The client's own collecting knows no limit, neither of time nor of size.
    stream._channels = channels  # noqa: SLF001
    try:
        _give(stream, given)
        while stream.is_open():
            guard()
            stream.update(timeout=max(0.0, min(_TIMEOUT, end - clock())))
    except ApiServerError:
        raise
    except Exception as error:
        guard()
        raise ApiServerError(f"the connection broke off: {reason_of(error)}") from error
    finally:
        with suppress(Exception):
            # Its closing waits for an answer, which one that hangs does not give.
            stream.sock.shutdown()
    return _finished(channels)


def _give(stream: Any, given: bytes) -> None:
    """Send the standard input; a program that ends before it has read it says why itself."""
    with suppress(Exception):
        for start in range(0, len(given), _PIECE):
            stream.write_channel(_INPUT, given[start : start + _PIECE])
        if given:
            stream.close_channel(_INPUT)


class _Channels(dict[int, bytes]):
    """What came on each channel, within limits."""

    def __init__(self, most: int, guard: Callable[[], None]) -> None:
        super().__init__()
        self._pieces: dict[int, list[bytes]] = {}
        self._left = most
        self._guard = guard

    def __contains__(self, channel: object) -> bool:
        # The client adds to what is there by making it anew: each piece is kept by itself.
        return False

    def __setitem__(self, channel: int, piece: bytes) -> None:
        self._guard()
        self._left -= len(piece)
        if self._left < 0:
            raise ApiServerError("its output is larger than any tables can be")
        self._pieces.setdefault(channel, []).append(piece)

    def all_of(self, channel: int) -> bytes:
        return b"".join(self._pieces.get(channel, ()))


def _finished(channels: _Channels) -> Finished:
    """What the status says that the server sends last."""
    status: Any = None
    with suppress(ValueError, RecursionError):
        status = json.loads(channels.all_of(_STATUS))
    if not isinstance(status, Mapping):
        raise ApiServerError("the connection ended before the program")
    output, errors = channels.all_of(_OUTPUT), channels.all_of(_ERRORS)
    if status.get("status") == "Success":
        return Finished(output, errors, 0)
    code = _exit_code(status)
    if code is not None:
        return Finished(output, errors, code)
    return Finished(output, errors, -1, printable(str(error_of(status, "it could not be started"))))


def _exit_code(status: Mapping[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    for cause in causes if isinstance(causes, list) else ():
        # ExitCodeCauseType of k8s.io/apimachinery/pkg/util/remotecommand/constants.go; the type of
        # a cause is called its reason in JSON.
        if isinstance(cause, Mapping) and cause.get("reason") == "ExitCode":
            with suppress(ValueError, TypeError):
                return int(cause["message"])
    return None
