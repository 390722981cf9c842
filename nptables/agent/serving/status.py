"""A local socket on which the running agent says how it is; only root may ask."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nptables.agent.process.instance import holder
from nptables.errors import NptablesError

SOCKET_NAME = "agent.sock"
_SECONDS = 5.0
# struct ucred: process, user and group of whoever connected (SO_PEERCRED in unix(7)).
_PEER = struct.Struct("3i")


class NotRunning(NptablesError):
    """No agent answers on this node."""

    exit_code = 3


class StatusSocket:
    """Answers every connection with one JSON document, and closes it.

    The socket can be used by its owner alone, and the kernel is asked who calls besides. Raises
    NptablesError where it cannot be made.
    """

    def __init__(self, folder: Path, status: Callable[[], Mapping[str, Any]]) -> None:
        self._path = folder / SOCKET_NAME
        self._status = status
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The rights of a socket are those that it is bound with (unix(7)).
        before = os.umask(0o177)
        try:
            # Whoever holds the instance lock may remove what a killed agent left.
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
        except OSError as error:
            self._socket.close()
            raise NptablesError(f"{self._path} cannot be made: {error.strerror}") from error
        finally:
            os.umask(before)
        self._socket.listen(8)
        threading.Thread(target=self._run, name="status", daemon=True).start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        with suppress(OSError):
            # To close it would not wake the thread that waits in accept().
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with suppress(OSError):
            self._path.unlink()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_SECONDS)
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
                _, user, _ = _PEER.unpack(peer)
                if user in (0, os.geteuid()):
                    connection.sendall(json.dumps(self._status()).encode() + b"\n")


def ask_status(folder: Path) -> dict[str, Any]:
    """What the agent that uses a folder says of itself. Raises NotRunning."""
    path = folder / SOCKET_NAME
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_SECONDS)
            link.connect(str(path))
            with link.makefile("rb") as stream:
                text = stream.read(1 << 20)
    except PermissionError:
        raise NotRunning(f"{path} may be used by root only") from None
    except TimeoutError:
        who = holder(folder)
        raise NotRunning(
            f"the agent on this node ({who or path}) does not answer within {_SECONDS:g} s: "
            "it hangs, or is stopped"
        ) from None
    except OSError as error:
        raise NotRunning(
            f"no agent answers on this node ({path}: {error.strerror or error}); "
            "`nptables run` starts one"
        ) from error
    if not text:
        raise NotRunning(f"the agent on {path} gave no answer: it may be used by root only")
    found: dict[str, Any] = json.loads(text)
    return found
