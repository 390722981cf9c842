"""The same on a machine: what the command line prints that the playground shows for a state."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nptables.cli import main
from nptables.playground import answer

# Writes down its words instead of starting Python anew for each.
_STUB = 'nptables() { printf "%s\\0" "$@" > "$WORDS"; }\n'


@dataclass
class Printed:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


def ask(ask: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the Python half replies, without a browser."""
    found: dict[str, Any] = json.loads(answer(json.dumps({"ask": ask, "state": state, **more})))
    return found


def on_machine(state: dict[str, Any], *options: str) -> Printed:
    """Run the script that is shown for a state, with more options, in an empty folder."""
    script = ask("command", state)["result"]["script"]
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder, "words")
        subprocess.run(
            ["bash", "-c", _STUB + script],
            check=True, cwd=folder, env={**os.environ, "WORDS": str(words)},
        )  # fmt: skip
        (made,) = (path for path in Path(folder).iterdir() if path.is_dir())
        argv = [word.decode() for word in words.read_bytes().split(b"\0")[:-1]]
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(made),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main([*argv, *options])
    return Printed(code, out.getvalue(), err.getvalue())
