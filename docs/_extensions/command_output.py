"""The directives `nptables-run` and `nptables-python`: what is typed, and what it prints.

    ```{nptables-run}
    :exit: 1
    nptables check local.yaml
    ```

Every line of `nptables-run` is a command. It runs while the site is built, in a copy of docs/files
that the page has to itself, so later commands of the page find what earlier ones wrote. The page
shows the command and its standard output, and standard error with `:stderr:`. An exit code other
than `:exit:` (0) is an error of the build. With `:svg:` standard output is a picture, which is put
into the page.

`nptables-python` is a program that runs in the same folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from nptables.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "88", "TZ": "UTC"}
# The folder in which the commands of each page run.
FOLDERS: dict[str, tempfile.TemporaryDirectory[str]] = {}


class _InFolder(SphinxDirective):
    has_content = True

    def _folder(self) -> Path:
        page = self.env.docname
        if page not in FOLDERS:
            FOLDERS[page] = tempfile.TemporaryDirectory(prefix="nptables-docs-")
            shutil.copytree(Path(self.env.srcdir, "files"), FOLDERS[page].name, dirs_exist_ok=True)
        return Path(FOLDERS[page].name)


class Run(_InFolder):
    """Run commands, and show them with their output."""

    option_spec: ClassVar[dict[str, Callable[[str], object]]] = {
        "exit": directives.nonnegative_int,
        "stderr": directives.flag,
        "svg": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """The nodes that stand in the place of the directive."""
        shown: list[nodes.Node] = []
        for command in self.content:
            code, out, err = run_command(command, self._folder())
            if code != self.options.get("exit", 0):
                raise self.error(f"{command}: exit code {code}\n{out}{err}")
            if "svg" in self.options:
                shown += [_code(f"$ {command}\n", "console"), _picture(out)]
                continue
            words = err if "stderr" in self.options else ""
            shown.append(_code(f"$ {command}\n{words}{out}", "console"))
        return shown


class RunPython(_InFolder):
    """Run a program, and show it with its output."""

    def run(self) -> list[nodes.Node]:
        """The nodes that stand in the place of the directive."""
        program = "\n".join(self.content)
        out = StringIO()
        try:
            with chdir(self._folder()), redirect_stdout(out):
                exec(compile(program, self.env.docname, "exec"), {})  # noqa: S102 - our own page
        except Exception as error:
            raise self.error(f"{type(error).__name__}: {error}\n{program}") from error
        shown = [_code(program, "python")]
        return [*shown, _code(out.getvalue(), "none")] if out.getvalue() else shown


def run_command(command: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error: in this process where no shell is needed."""
    words = shlex.split(command, comments=True)
    if words[0] == "nptables" and not set(words) & {"|", ">"}:
        out, err = StringIO(), StringIO()
        with _environment(), chdir(folder), redirect_stdout(out), redirect_stderr(err):
            code = main(words[1:])
        return code, out.getvalue(), err.getvalue()
    script = f'nptables() {{ {shlex.quote(sys.executable)} -m nptables "$@"; }}\n{command}'
    root = str(Path(__file__).parents[2])
    done = subprocess.run(  # noqa: S603 - the pages are the project's own
        ["/bin/sh", "-c", script],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


class _environment:  # noqa: N801 - used as a function
    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in ENVIRONMENT}
        os.environ.update(ENVIRONMENT)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _code(text: str, language: str) -> nodes.Node:
    return nodes.literal_block(text, text, language=language)


def _picture(svg: str) -> nodes.Node:
    _, _, picture = svg.partition("?>")
    return nodes.raw(
        "",
        f'<div class="graph" tabindex="0" role="group" aria-label="graph">{picture}</div>',
        format="html",
    )


def _forget(_app: Sphinx, _env: object, page: str) -> None:
    """A page that is read again starts with the files as they are now."""
    if page in FOLDERS:
        FOLDERS.pop(page).cleanup()


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("nptables-run", Run)
    app.add_directive("nptables-python", RunPython)
    app.connect("env-purge-doc", _forget)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
