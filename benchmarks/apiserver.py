"""An API server that has its answers ready, so that a race is not about the server.

    python benchmarks/apiserver.py PORT SERVICES ENDPOINTS

It serves the lists of benchmarks/workload.py and one Node, prints `ready`, and then takes objects
from standard input, one JSON a line: each goes to the watches of its kind as modified.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import queue
import sys
import threading
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from benchmarks.workload import objects

PATHS = {
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Node": "/api/v1/nodes",
}


def rendered(kind: str, items: list[Any], page: int) -> Iterable[tuple[str, bytes]]:
    """Each page of a list by its continue token; all of it under `all`."""
    for start, size in [("all", len(items)), *((s, page) for s in range(0, len(items), page))]:
        at = 0 if start == "all" else int(start)
        metadata: dict[str, str] = {"resourceVersion": "7"}
        if at + size < len(items):
            metadata["continue"] = str(at + size)
        document = {"kind": f"{kind}List", "metadata": metadata, "items": items[at : at + size]}
        yield str(start or ""), json.dumps(document, separators=(",", ":")).encode()


def main() -> None:
    """Serve until standard input ends."""
    port, services, endpoints = map(int, sys.argv[1:4])
    listed: dict[str, list[Any]] = {kind: [] for kind in PATHS}
    for each in objects(services, endpoints):
        listed[each["kind"]].append(each)
    pages = {path: dict(rendered(kind, listed[kind], 500)) for kind, path in PATHS.items()}
    watches: dict[str, list[queue.SimpleQueue[bytes]]] = {path: [] for path in PATHS.values()}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            if "watch" in query:
                self.watch(watches[url.path])
            else:
                token = query.get("continue", "") if "limit" in query else "all"
                self.answer(200, pages[url.path][token])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(201, b"{}")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def watch(self, others: list[queue.SimpleQueue[bytes]]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            events: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            others.append(events)
            # Whoever watches ends at some time, in the middle of a line or between two.
            with contextlib.suppress(OSError):
                while True:
                    line = events.get()
                    self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        event = b'{"type":"MODIFIED","object":' + line.strip().encode() + b"}\n"
        for each in watches[PATHS[json.loads(line)["kind"]]]:
            each.put(event)


if __name__ == "__main__":
    main()
