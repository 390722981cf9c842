"""Real shells on a terminal, into which tests type, with Tab as people do."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A shell gives its terminal to the programs that it starts: it has to be its own. No line of the
# tests is longer than the terminal is wide.
_ON_TERMINAL = """
import fcntl, os, struct, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
os.execvp(sys.argv[1], sys.argv[1:])
"""
COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": "bind 'set bell-style none'; source <(nptables completion bash)",
    "zsh": "autoload -U compinit; compinit -u -D; source <(nptables completion zsh)",
    "fish": "nptables completion fish | source",
}
_SECONDS = 60.0
_START, _TAB, _ENTER = "\x01", "\t", "\r"


@dataclass
class Shell:
    """An interactive shell in a folder; use it as a context manager."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    _terminal: int = -1
    _seen: str = ""
    _number: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def __enter__(self) -> Self:
        self._terminal, other = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *COMMANDS[self.name]],
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=self.folder,
            env={**self.environment, "TERM": "dumb", "HOME": str(self.folder)},
            start_new_session=True,
        )
        os.close(other)
        self.run(SETUP[self.name])
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def run(self, line: str) -> str:
        """Run a command; returns what it printed."""
        self._number += 1
        # The mark stands in the output only, not in what the terminal echoes of the input.
        self._type(f"{line}; echo 'mark''{self._number}.'{_ENTER}")
        return self._until(f"mark{self._number}.")

    def completes(self, line: str, rest: str) -> str:
        """Type a line and Tab, which has to add `rest`; returns what the shell then has."""
        self._type(line)
        self._until(line)
        self._type(_TAB)
        self._until(rest)
        # In front of the line: so the shell itself says what it has become.
        self._type(f"{_START}echo 'got''>' {_ENTER}")
        return self._until_pattern(r"got> [^\r\n]*[\r\n]").rpartition("got> ")[2].strip()

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _until(self, words: str) -> str:
        return self._until_pattern(re.escape(words))

    def _until_pattern(self, pattern: str) -> str:
        """What the terminal shows up to something, which is then forgotten."""
        ends = time.monotonic() + _SECONDS
        while (found := re.search(pattern, self._seen)) is None:
            ready, _, _ = select.select([self._terminal], [], [], max(0, ends - time.monotonic()))
            assert ready, f"{self.name} does not show {pattern!r} but {self._seen!r}"
            with contextlib.suppress(OSError):
                self._seen += os.read(self._terminal, 65536).decode(errors="replace")
        seen, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return seen
