"""A static file server such as anybody has, that counts what is asked for and fails on demand."""

from __future__ import annotations

import functools
import gzip
import mimetypes
import threading
from collections.abc import Callable
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from tests.support.probing import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A function gives the file another content.
Fault = Literal["missing", "broken off", "another type", "late"] | Callable[[bytes], bytes]


class Site:
    """A folder below a path of its own, as where a page is one of many of a site."""

    BELOW = "/some/where/"

    def __init__(self, folder: Path, *, compressed: bool = False) -> None:
        """Serve a folder from `start` on; `compressed` on the way, as most hosts do it."""
        self.folder = folder
        self.compressed = compressed
        self.asked: list[str] = []
        self.sent = 0
        # Until this is set, files that are late do not come.
        self.in_time = threading.Event()
        self._faults: dict[str, Fault] = {}
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def origin(self) -> str:
        """What everything that the page may ask begins with."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The page."""
        return self.origin + self.BELOW

    def start(self) -> None:
        """Serve; on the same port as before, if there was one."""
        self._port = self._port or free_port()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", self._port), functools.partial(_Handler, self)
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer nobody, as without a network."""
        self.in_time.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def part(self, start: str) -> str:
        """The name of the only file of the folder that begins so; it ends with its hash."""
        (found,) = (path.name for path in self.folder.rglob(f"{start}*"))
        return found

    @contextmanager
    def failing(self, suffix: str, fault: Fault) -> Iterator[None]:
        """Fail all files whose path ends like this, until the block ends."""
        self.in_time.clear()
        self._faults[suffix] = fault
        try:
            yield
        finally:
            del self._faults[suffix]
            self.in_time.set()

    def fault_of(self, path: str) -> Fault | None:
        """How the answer to this path fails."""
        return next((fault for end, fault in self._faults.items() if path.endswith(end)), None)

    def file_at(self, path: str) -> Path | None:
        """The file that a path names."""
        if not path.startswith(self.BELOW):
            return None
        found = (self.folder / path.removeprefix(self.BELOW)).resolve()
        if found.is_dir():
            found /= "index.html"
        return found if found.is_relative_to(self.folder) and found.is_file() else None


@contextmanager
def served(folder: Path, *, compressed: bool = False) -> Iterator[Site]:
    """A site, until the block ends."""
    site = Site(folder, compressed=compressed)
    site.start()
    try:
        yield site
    finally:
        site.stop()


class _Handler(BaseHTTPRequestHandler):
    """One connection; of HTTP/1.0, so that none outlives the server."""

    def __init__(self, site: Site, *arguments: object) -> None:
        self.site = site
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.asked.append(path)
        fault = self.site.fault_of(path)
        file = self.site.file_at(path)
        if fault == "late":
            self.site.in_time.wait()
        if file is None or fault == "missing":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        changed = formatdate(file.stat().st_mtime, usegmt=True)
        if self.headers["If-Modified-Since"] == changed and fault is None:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        body = _compressed(file) if self.site.compressed else file.read_bytes()
        if callable(fault):
            body = fault(body)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html" if fault == "another type" else kind)
        self.send_header("Last-Modified", changed)
        self.send_header("Content-Length", str(len(body)))
        if self.site.compressed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "broken off" else body)
        self.site.sent += len(body)

    def log_message(self, *_: object) -> None:
        """Write nothing among the output of the tests."""


@functools.cache
def _compressed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), 6)
