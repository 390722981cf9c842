"""An API server for tests that also runs programs in Pods, over a real websocket.

What a program does in a Pod is a function of the test: it gets the command and writes to
channels, as the kubelet does, in the protocols v4 and v5 (one byte of a channel before each piece,
a Status on channel 3 at the end).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.apiserver import ApiServer

JSON = dict[str, Any]
DAEMON_SETS = re.compile(r"/apis/apps/v1/namespaces/([a-z0-9-]+)/daemonsets(?:/([a-z0-9-]+))?")
EXEC = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/pods/([a-z0-9.-]+)/exec")
PODS = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/pods")
NO_SHELL = (
    "Internal error occurred: error executing command in container: exec failed: unable to start "
    'container process: exec: "sh": executable file not found in $PATH'
)


@dataclass
class Channels:
    """The channels of one program, from its own side."""

    socket: web.WebSocketResponse
    command: list[str]

    async def out(self, text: str | bytes, channel: int = 1) -> None:
        """Print something, in pieces as the kubelet sends it."""
        data = text.encode() if isinstance(text, str) else text
        for start in range(0, len(data), 32768):
            await self.socket.send_bytes(bytes([channel]) + data[start : start + 32768])

    async def end(self, code: int = 0) -> None:
        """End with an exit code."""
        status: JSON = {"metadata": {}, "status": "Success"}
        if code:
            cause = {"reason": "ExitCode", "message": str(code)}
            status = {
                "metadata": {},
                "status": "Failure",
                "message": f"command terminated with non-zero exit code: exit status {code}",
                "reason": "NonZeroExitCode",
                "details": {"causes": [cause]},
            }
        await self._finish(status)

    async def fail(self, message: str) -> None:
        """Fail to start."""
        status = {"status": "Failure", "message": message, "reason": "InternalError", "code": 500}
        await self._finish(status)

    async def _finish(self, status: JSON) -> None:
        if self.socket.ws_protocol == "v5.channel.k8s.io":
            # The server closes the streams one by one before it says how it ended.
            await self.socket.send_bytes(bytes([255, 1]))
        await self.out(json.dumps(status), 3)
        await self.socket.close()


Program = Callable[[Channels], Awaitable[None]]


@dataclass
class ExecServer(ApiServer):
    """See the module. `programs` are by Pod; `protocols` those that the server speaks.

    A DaemonSet that is created gets a Pod on every node of `daemon_programs`, which runs from the
    second look on, or never where there is no program but words for why.
    """

    programs: dict[str, Program] = field(default_factory=dict)
    pods: list[JSON] = field(default_factory=list)
    protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    running: int = 0
    most_running: int = 0
    ran: list[tuple[str, list[str]]] = field(default_factory=list)
    spoken: set[str | None] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    daemon_sets: dict[str, JSON] = field(default_factory=dict)
    daemon_programs: dict[str, Program | str] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)

    def add_pod(self, node: str, program: Program, version: str = "1.30", **status: Any) -> str:
        """A Pod of kube-proxy on a node; returns its name."""
        name = f"kube-proxy-{node}"
        self.pods.append(
            {
                "metadata": {
                    "name": name,
                    "namespace": "kube-system",
                    "labels": {"k8s-app": "kube-proxy"},
                },
                "spec": {
                    "nodeName": node,
                    "containers": [
                        {
                            "name": "kube-proxy",
                            "image": f"registry.k8s.io/kube-proxy:v{version}.3",
                            "command": [
                                "/usr/local/bin/kube-proxy",
                                "--config=/var/lib/kube-proxy/config.conf",
                            ],
                            "env": [{"name": "SECRET", "value": "hunter2"}],
                        }
                    ],
                },
                "status": {"phase": "Running", **status},
            }
        )
        self.programs[name] = program
        return name

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if (found := EXEC.fullmatch(request.path)) is not None:
            return await self._exec(request, found[2])
        if (found := DAEMON_SETS.fullmatch(request.path)) is not None:
            return await self._daemon_set(request, found[2] or "")
        if PODS.fullmatch(request.path) is not None:
            label, _, value = request.query.get("labelSelector", "").partition("=")
            items = [p for p in self.pods if p["metadata"]["labels"].get(label) == value]
            body = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": items}
            answer = web.json_response(body)
            self._start_daemons(items)
            return answer
        return await super()._serve(request)

    async def _daemon_set(self, request: web.Request, name: str) -> web.Response:
        if (status := self.refuses.get(request.method)) is not None:
            return web.json_response({"kind": "Status", "message": "no"}, status=status)
        if request.method == "POST":
            return self.create_daemon_set(await request.json())
        if name not in self.daemon_sets:
            return web.json_response({"kind": "Status", "message": "not found"}, status=404)
        found = self.daemon_sets[name]
        if request.method == "DELETE":
            del self.daemon_sets[name]
            gone = found["spec"]["template"]["metadata"]["labels"]
            self.pods = [p for p in self.pods if p["metadata"]["labels"] != gone]
        return web.json_response(found)

    def create_daemon_set(self, made: JSON) -> web.Response:
        """What the API server and its controller do: a Pod on each node, not running yet."""
        name = made["metadata"]["name"]
        if name in self.daemon_sets:
            return web.json_response({"kind": "Status", "message": "it exists"}, status=409)
        self.daemon_sets[name] = made
        template = made["spec"]["template"]
        for node, program in self.daemon_programs.items():
            pod = f"{name}-{node}"
            metadata = {**template["metadata"], "name": pod, "namespace": "kube-system"}
            status: JSON = {"phase": "Pending"}
            if isinstance(program, str):
                state = {"waiting": {"reason": program}}
                status["containerStatuses"] = [{"name": name, "state": state}]
            else:
                self.programs[pod] = program
            spec = {**template["spec"], "nodeName": node}
            self.pods.append({"metadata": metadata, "spec": spec, "status": status})
        return web.json_response(made, status=201)

    def _start_daemons(self, pods: list[JSON]) -> None:
        for pod in pods:
            if pod["metadata"]["name"] in self.programs:
                pod["status"] = {"phase": "Running"}

    async def _exec(self, request: web.Request, pod: str) -> web.StreamResponse:
        if not self._admits(request.headers.get("Authorization", "")):
            return web.json_response({"message": "Unauthorized"}, status=401)
        if pod not in self.programs:
            message = f'pods "{pod}" not found'
            return web.json_response({"kind": "Status", "message": message}, status=404)
        socket = web.WebSocketResponse(protocols=self.protocols, max_msg_size=0)
        await socket.prepare(request)
        command = request.query.getall("command")
        self.ran.append((pod, command))
        self.spoken.add(socket.ws_protocol)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.programs[pod](Channels(socket, command))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.running -= 1
        return socket


async def hangs(channels: Channels) -> None:
    """Print a beginning, and nothing more for a long time."""
    await channels.out("nptables-node-text 1 0123")
    await asyncio.sleep(60)


async def floods(channels: Channels) -> None:
    """Print without an end."""
    while not channels.socket.closed:
        await channels.out(b"garbage\xff\x00" * 4000)


async def writes_garbage(channels: Channels) -> None:
    """Print what nobody can read, and end well."""
    await channels.out(b"\x00\xff\xfe garbage \x80" * 500)
    await channels.end()


async def vanishes(channels: Channels) -> None:
    """Be gone in the middle, as a Pod that is evicted."""
    await channels.out("nptables-node-text 1 0123")
    transport = channels.socket._req.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.abort()


def prints(text: str, code: int = 0) -> Program:
    """A program that prints a text."""

    async def program(channels: Channels) -> None:
        await channels.out(text)
        await channels.end(code)

    return program


def without_shell(outputs: dict[str, str]) -> Program:
    """An image with some programs and no shell."""

    async def program(channels: Channels) -> None:
        name = channels.command[0]
        if name in outputs:
            await channels.out(outputs[name])
            await channels.end()
        else:
            await channels.fail(NO_SHELL.replace('"sh"', f'"{name}"'))

    return program


def node_text(node: str, ipv4: str, *, nonce: str = "0" * 32, ipv6: str = "") -> str:
    """What deploy/snapshot.sh prints on a node with these tables."""
    sections = [("node", node), ("taken", "2026-05-20T12:00:00Z\n"), ("tables nft IPv4", ipv4)]
    if ipv6:
        sections.append(("tables nft IPv6", ipv6))
    text = f"nptables-node-text 1 {nonce}\n"
    for name, content in sections:
        text += f"{nonce} begin {name}\n{content}\n{nonce} end 0\n"
    return f"{text}{nonce} complete\n"


def in_a_shell(prepared: list[str]) -> Program:
    """A container with a shell: the command runs here, behind the words that confine it.

    Only a client that speaks v5 tells the end of the standard input, as with the kubelet.
    """

    async def program(channels: Channels) -> None:
        process = await asyncio.create_subprocess_exec(
            *prepared,
            *channels.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

        async def feed() -> None:
            assert process.stdin is not None
            async for message in channels.socket:
                data: bytes = message.data
                if data[:1] == b"\x00":
                    process.stdin.write(data[1:])
                elif data == b"\xff\x00":
                    process.stdin.close()

        feeding = asyncio.ensure_future(feed())
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.ensure_future(process.stderr.read())
        while piece := await process.stdout.read(65536):
            await channels.out(piece)
        await channels.out(await errors, 2)
        code = await process.wait()
        feeding.cancel()
        await channels.end(code)

    return program
