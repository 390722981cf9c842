"""The HTTP server of probes, metrics and load balancers, and clients that mean it no good."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from nptables.agent.serving import Answer, Server, by_path
from tests.support.agents import wait_for
from tests.support.probing import free_port, get, serving, silent, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

# More than the server has places for.
MANY = 200


def hello(_: str) -> Answer:
    return Answer(200, b"hello")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def test_a_path_is_answered_whatever_its_query_and_others_are_not_found(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, by_path({"/x": lambda: Answer(200, b"yes")})).port
    assert get(port, "/x?y=1")[::2] == (200, b"yes")
    assert get(port, "/y")[0] == 404
    assert get(port, "/x", method="HEAD")[::2] == (200, b"")
    assert get(port, "/x", method="POST")[0] == 501


def test_a_request_may_come_in_pieces(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, hello).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"GET / HT", b"TP/1.1\r\nHost: x\r", b"\n\r", b"\n"):
            link.sendall(piece)
            time.sleep(0.02)
        assert link.makefile("rb").read().endswith(b"\r\n\r\nhello")


def test_a_client_that_asks_and_then_says_no_more_is_answered(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, hello).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        link.shutdown(socket.SHUT_WR)
        assert link.makefile("rb").read().endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"\r\n\r\n", b""),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 20_000, b""),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(
    server: Server, sent: bytes, answered: bytes
) -> None:
    port = server.listen("127.0.0.1", 0, hello).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(sent)
        try:
            received = link.makefile("rb").read()
        except ConnectionResetError:
            received = b""
    assert answered in received
    assert bool(received) == bool(answered)
    assert get(port)[0] == 200


def test_listening_everywhere_answers_both_families(server: Server) -> None:
    port = server.listen("", 0, hello).port
    assert get(port)[0] == 200
    assert get(port, host="::1")[0] == 200


def test_a_listener_that_was_closed_frees_its_port(server: Server) -> None:
    listener = server.listen("127.0.0.1", 0, hello)
    assert get(listener.port)[0] == 200
    server.close(listener)
    server.close(server.listen("127.0.0.1", listener.port, hello))


def test_a_server_that_stopped_listens_no_more_and_ends_its_connections() -> None:
    with serving() as server:
        listener = server.listen("127.0.0.1", 0, hello)
        link = socket.create_connection(("127.0.0.1", listener.port), timeout=10)
        wait_for(lambda: bool(listener.clients))
    with link:
        assert link.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        get(listener.port)


def test_a_port_in_use_is_an_error(server: Server) -> None:
    with taken() as port, pytest.raises(OSError, match="in use"):
        server.listen("127.0.0.1", port, hello)


def test_a_failing_handler_is_an_answer_without_its_reason(server: Server) -> None:
    port = server.listen("127.0.0.1", 0, by_path({"/": lambda: Answer(200, 1 / 0)})).port  # type: ignore[arg-type]
    status, _, body = get(port)
    assert (status, body) == (500, b"internal error\n")


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off() -> None:
    with serving(seconds=0.3) as server:
        port = server.listen("127.0.0.1", 0, hello).port
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:

            def dribble() -> None:
                for _ in range(500):
                    link.sendall(b"G")
                    time.sleep(0.02)

            with pytest.raises(ConnectionError):
                dribble()
        assert get(port)[0] == 200


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    # More than the buffers of both ends hold.
    much = b"x" * 50_000_000
    # It counts from the connection on, and the client has to have asked by then.
    with serving(seconds=2) as server:
        listener = server.listen("127.0.0.1", 0, lambda _: Answer(200, much))
        connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()
        wait_for(lambda: not listener.clients)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        connection.close()


def test_a_client_gets_through_however_many_hold_connections_to_its_port(server: Server) -> None:
    listener = server.listen("127.0.0.1", 0, hello)
    with silent(listener.port, MANY):
        assert [get(listener.port)[0] for _ in range(20)] == [200] * 20
        assert len(listener.clients) <= 128


def test_clients_of_one_port_do_not_drive_out_those_of_another(server: Server) -> None:
    attacked = server.listen("127.0.0.1", 0, hello).port
    other = server.listen("127.0.0.1", 0, hello).port
    with silent(other, 1) as (early,), silent(attacked, MANY):
        assert get(other)[0] == 200
        early.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert early.makefile("rb").read().endswith(b"hello")


def test_one_connection_to_each_of_many_ports_drives_out_no_newcomer(server: Server) -> None:
    probed = server.listen("127.0.0.1", 0, hello).port
    others = [server.listen("127.0.0.1", 0, hello).port for _ in range(140)]
    held = [socket.create_connection(("127.0.0.1", port), timeout=10) for port in others]
    with silent(probed, 1) as (newcomer,):
        held += [socket.create_connection(("127.0.0.1", port), timeout=10) for port in others[:50]]
        newcomer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert newcomer.makefile("rb").read().endswith(b"hello")
    for link in held:
        link.close()


def test_requests_need_no_threads(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    port = server.listen("127.0.0.1", 0, hello).port
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert get(port)[0] == 200


def test_a_thread_that_ends_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[Exception] = []
    server = Server("test", broken=broken.append, trouble=lambda _: None)
    error = OSError("the selector broke")

    def fail(_: float | None = None) -> None:
        raise error

    monkeypatch.setattr(server._loop._selector, "select", fail)  # type: ignore[attr-defined]
    server._loop.call_soon_threadsafe(lambda: None)
    wait_for(lambda: bool(broken))
    assert broken == [error]
    with pytest.raises(OSError, match="the server has ended"):
        server.listen("127.0.0.1", free_port(), hello)
    server.stop()


def test_a_process_that_runs_out_of_descriptors_answers_again_when_it_has_some() -> None:
    script = """
        import os, resource, sys, time
        from nptables.agent.serving import Answer, Server

        troubles = []
        server = Server("test", broken=print, trouble=troubles.append)
        print(server.listen("127.0.0.1", 0, lambda _: Answer(200, b"")).port, flush=True)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        print("ready", flush=True)
        while not troubles:
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        print(*troubles, flush=True)
        sys.stdin.readline()
        server.stop()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert child.stdout.readline() == "ready\n"
        with silent(port, 4) as links:
            links[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert "Too many open files" in child.stdout.readline()
            assert links[-1].recv(12) == b"HTTP/1.0 200"
            print(file=child.stdin, flush=True)
    assert child.returncode == 0
