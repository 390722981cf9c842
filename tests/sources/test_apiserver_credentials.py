"""Credentials of a kubeconfig: exec plugins over real TLS, and what is said of wrong ones."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from nptables.errors import ApiServerError
from nptables.sources.apiserver import SERVICES, Connection, list_cluster
from tests.support.agents import wait_for
from tests.support.apiserver import ApiServer
from tests.support.objects import service
from tests.support.plugins import FUTURE, PAST, ExecPlugin
from tests.support.tls import server_context, written

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "s3cret-token"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[ApiServer]:
    with ApiServer(tls=server_context(authority), token="first") as server:
        server.put(service("a"))
        yield server


@pytest.fixture
def plugin(tmp_path: Path) -> ExecPlugin:
    (tmp_path / "plugin").mkdir()
    made = ExecPlugin(tmp_path / "plugin")
    made.gives(token="first")
    return made


@pytest.fixture
def kubeconfig(
    server: ApiServer, plugin: ExecPlugin, authority: trustme.CA, tmp_path: Path
) -> Path:
    return plugin.kubeconfig(
        tmp_path / "kubeconfig", server=server.url, authority=written(authority, tmp_path / "ca")
    )


def ask(connection: Connection) -> list[str]:
    return [name for _, name in list_cluster(connection, [SERVICES]).services]


def refused(connection: Connection) -> str:
    with pytest.raises(ApiServerError) as caught:
        connection.get("/api/v1/services", {})
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_plugin_runs_at_the_first_request_and_not_again_while_its_token_counts(
    kubeconfig: Path, plugin: ExecPlugin
) -> None:
    plugin.gives(token="first", expirationTimestamp=FUTURE)
    connection = Connection(kubeconfig=str(kubeconfig))
    assert plugin.runs == 0
    assert ask(connection) == ask(connection) == ["a"]
    assert plugin.runs == 1


def test_an_expired_token_is_replaced_before_it_is_used(
    kubeconfig: Path, plugin: ExecPlugin, server: ApiServer
) -> None:
    plugin.gives(token="first", expirationTimestamp=PAST)
    connection = Connection(kubeconfig=str(kubeconfig))
    assert ask(connection) == ["a"]
    server.token = "second"
    plugin.gives(token="second", expirationTimestamp=FUTURE)
    assert ask(connection) == ["a"]
    # The server never saw the first one after that.
    assert [r.authorization for r in server.requests] == ["Bearer first", "Bearer second"]


def test_a_token_that_the_server_no_longer_takes_is_replaced_once_it_said_so(
    kubeconfig: Path, plugin: ExecPlugin, server: ApiServer
) -> None:
    connection = Connection(kubeconfig=str(kubeconfig))
    assert ask(connection) == ["a"]
    server.token = "second"
    plugin.gives(token="second")
    assert "Unauthorized" in refused(connection)
    connection.renew()
    assert ask(connection) == ["a"]
    assert plugin.runs == 2


def test_a_plugin_is_told_about_the_cluster_and_gets_its_arguments_and_its_environment(
    server: ApiServer, plugin: ExecPlugin, authority: trustme.CA, tmp_path: Path
) -> None:
    path = plugin.kubeconfig(
        tmp_path / "kubeconfig",
        server=server.url,
        authority=written(authority, tmp_path / "ca"),
        args=["get", "token"],
        env=[{"name": "PROFILE", "value": "prod"}],
        provideClusterInfo=True,
    )
    plugin.gives(token="first")
    answer = plugin.program.read_text()
    plugin.does(
        f'echo "$*,$PROFILE" >{tmp_path}/seen; echo "$KUBERNETES_EXEC_INFO" >{tmp_path}/info\n'
        + answer
    )
    assert ask(Connection(kubeconfig=str(path))) == ["a"]
    assert (tmp_path / "seen").read_text() == "get token,prod\n"
    info = json.loads((tmp_path / "info").read_text())
    assert info["spec"]["cluster"]["server"] == server.url


def test_a_plugin_beside_its_kubeconfig_is_found_by_a_relative_name(
    server: ApiServer, plugin: ExecPlugin, authority: trustme.CA, tmp_path: Path
) -> None:
    path = plugin.kubeconfig(
        tmp_path / "kubeconfig",
        server=server.url,
        authority=written(authority, tmp_path / "ca"),
        command="./plugin/plugin",
    )
    assert ask(Connection(kubeconfig=str(path))) == ["a"]


def test_a_client_certificate_of_a_plugin_is_used_and_its_key_left_nowhere(
    plugin: ExecPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(keys))
    authority, clients = trustme.CA(), trustme.CA()

    def give() -> None:
        made = clients.issue_cert("node1.example.com")
        plugin.gives(
            clientCertificateData=made.cert_chain_pems[0].bytes().decode(),
            clientKeyData=made.private_key_pem.bytes().decode(),
            expirationTimestamp=PAST,
        )

    give()
    with ApiServer(tls=server_context(authority, clients=clients)) as server:
        server.put(service("a"))
        path = plugin.kubeconfig(
            tmp_path / "kubeconfig",
            server=server.url,
            authority=written(authority, tmp_path / "ca"),
        )
        connection = Connection(kubeconfig=str(path))
        assert ask(connection) == ["a"]
        (first,) = keys.glob("*/tls.key")
        assert first.stat().st_mode & 0o777 == 0o600
        give()
        assert ask(connection) == ["a"]
        (second,) = keys.glob("*/tls.key")
        assert first != second
        connection.renew()
        assert list(keys.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no session,\nlog in' >&2; exit 3", "process returned 3. no session,\\nlog in"),
        ("true", "failed to decode process output"),
        ("echo []", "malformed response. missing key 'apiVersion'"),
        (f'echo \'{{"token": "{SECRET}"}}\'', "malformed response. missing key 'apiVersion'"),
        (f"echo '{SECRET}'", "failed to decode process output"),
    ],
)
def test_a_plugin_that_fails_is_named_with_its_reason_and_works_the_next_time(
    kubeconfig: Path,
    plugin: ExecPlugin,
    script: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    plugin.does(script)
    with caplog.at_level(logging.DEBUG):
        connection = Connection(kubeconfig=str(kubeconfig))
        words = refused(connection)
    start = f"the API server: the credential plugin {plugin.program} failed: {said}"
    assert words.startswith(start)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    plugin.gives(token="first")
    assert ask(connection) == ["a"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "neither a token nor a client certificate"),
        ({"token": 7}, "its token is not a string"),
        ({"clientCertificateData": SECRET}, "a client certificate without its key"),
        (
            {"token": SECRET, "expirationTimestamp": "soon"},
            "expirationTimestamp is not a time: soon",
        ),
    ],
)
def test_what_a_plugin_may_not_give_is_said(
    kubeconfig: Path, plugin: ExecPlugin, status: dict[str, Any], said: str
) -> None:
    plugin.gives(**status)
    assert said in refused(Connection(kubeconfig=str(kubeconfig)))


def has_ended(pid: str) -> bool:
    """Whether a process is gone, or is but waiting for its parent to notice."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(
    kubeconfig: Path, plugin: ExecPlugin, tmp_path: Path
) -> None:
    from nptables.sources.apiserver.credentials import Access

    plugin.does(f"sleep 300 & echo $! >{tmp_path}/child; wait")
    access = Access(kubeconfig=str(kubeconfig), plugin_seconds=0.5)
    with pytest.raises(ApiServerError, match=r"plugin .* failed: it did not end within 0\.5 s"):
        access.refresh()
    wait_for(lambda: has_ended((tmp_path / "child").read_text().strip()))


def test_a_plugin_that_is_not_installed_is_said_at_once_with_the_hint(
    plugin: ExecPlugin, tmp_path: Path
) -> None:
    path = plugin.kubeconfig(
        tmp_path / "kubeconfig",
        server="https://127.0.0.1:1",
        authority="ca",
        command="no-such-plugin",
        installHint="Install it:\n  see the manual.",
    )
    with pytest.raises(ApiServerError) as caught:
        Connection(kubeconfig=str(path))
    assert str(caught.value) == (
        "the API server: the cluster configuration cannot be used: the credential plugin "
        "no-such-plugin is not installed, or may not be started: Install it: see the manual."
    )


def test_on_a_terminal_the_words_of_a_plugin_are_seen_and_not_said_again(
    kubeconfig: Path, plugin: ExecPlugin
) -> None:
    plugin.does("echo log in first >&2; exit 1")
    code = (
        "import sys; from nptables.sources.apiserver import Connection\n"
        "try: Connection(kubeconfig=sys.argv[1]).get('/', {})\n"
        "except Exception as error: print(error)"
    )
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", code, str(kubeconfig)]
    subprocess.run(argv, stdin=theirs, stdout=theirs, stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert shown == [
        "log in first",
        f"the API server: the credential plugin {plugin.program} failed: see its messages above",
    ]


@pytest.mark.parametrize("token", [f"{SECRET}\nX-Injected: 1", f"{SECRET}\x7f", f"{SECRET}ü"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(
    kubeconfig: Path, plugin: ExecPlugin, server: ApiServer, token: str
) -> None:
    plugin.gives(token=token)
    assert "no HTTP header may have" in refused(Connection(kubeconfig=str(kubeconfig)))
    assert server.requests == []


def test_the_entry_of_a_user_is_not_shown_when_it_is_wrong(tmp_path: Path) -> None:
    # The token stands one level too high, so that there is no `user` in the entry.
    path = tmp_path / "kubeconfig"
    document = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "test", "token": SECRET}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(document))
    with pytest.raises(ApiServerError, match="Expected key user") as caught:
        Connection(kubeconfig=str(path))
    assert SECRET not in str(caught.value)


def test_a_token_file_is_read_again_after_a_refusal(
    server: ApiServer, authority: trustme.CA, tmp_path: Path
) -> None:
    path = server.kubeconfig(tmp_path / "kubeconfig", authority=written(authority, tmp_path / "ca"))
    document = json.loads(path.read_text())
    document["users"][0]["user"] = {"tokenFile": "token"}
    path.write_text(json.dumps(document))
    (tmp_path / "token").write_text("first\n")
    connection = Connection(kubeconfig=str(path))
    assert ask(connection) == ["a"]
    server.token = "second"
    (tmp_path / "token").write_text("second\n")
    assert "Unauthorized" in refused(connection)
    connection.renew()
    assert ask(connection) == ["a"]
