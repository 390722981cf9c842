"""Kubeconfigs and service accounts as client-go reads them, without the kubernetes client."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nptables.errors import ApiServerError
from nptables.sources.apiserver import credentials
from nptables.sources.apiserver.credentials import Access
from nptables.sources.apiserver.kubeconfig import read_kubeconfig


def written(path: Path, name: str, user: dict[str, Any], **cluster: Any) -> str:
    """A kubeconfig with one context, one cluster and one user of that name."""
    document = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": "https://10.0.0.1:6443/", **cluster}}],
        "users": [{"name": name, "user": user}],
    }
    path.write_text(json.dumps(document))
    return str(path)


def test_of_two_files_the_first_says_which_context_and_what_a_name_stands_for(
    tmp_path: Path,
) -> None:
    """So it is with kubectl: the first file to set a value wins."""
    first = written(tmp_path / "first", "a", {"token": "one"})
    (tmp_path / "other").mkdir()
    second = written(tmp_path / "other" / "second", "b", {"tokenFile": "token"})
    again = written(tmp_path / "again", "a", {"token": "two"})
    (tmp_path / "other" / "token").write_text("three\n")
    together = f"{first}:{tmp_path}/none:{second}:{again}"

    assert Access(kubeconfig=together).authorization() == "Bearer one"
    # A relative path is relative to the file that it stands in.
    assert Access(kubeconfig=together, context="b").authorization() == "Bearer three"
    assert Access(kubeconfig=together, context="b").place.context == "b"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, ""),
        ({"token": "abc"}, "Bearer abc"),
        # base64 of "me:secret".
        ({"username": "me", "password": "secret"}, "Basic bWU6c2VjcmV0"),
        ({"token": "abc", "username": "me", "password": "secret"}, "Bearer abc"),
    ],
)
def test_a_user_is_who_it_says(tmp_path: Path, user: dict[str, Any], header: str) -> None:
    assert Access(kubeconfig=written(tmp_path / "config", "a", user)).authorization() == header


def test_certificates_in_the_file_are_written_where_nobody_else_reads_them_and_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(keys))
    data = {
        key: base64.b64encode(key.encode()).decode()
        for key in ("client-certificate-data", "client-key-data")
    }
    authority = tmp_path / "ca.pem"
    authority.write_text("pem")
    path = written(
        tmp_path / "config",
        "a",
        data,
        **{"certificate-authority": "ca.pem", "tls-server-name": "x"},
    )

    access = Access(kubeconfig=path)

    server = access.server
    assert (server.url, server.authority, server.tls_name) == (
        "https://10.0.0.1:6443",
        str(authority),
        "x",
    )
    assert server.verify
    assert Path(server.certificate or "").read_text() == "client-certificate-data"
    assert Path(server.key or "").read_text() == "client-key-data"
    assert Path(server.key or "").stat().st_mode & 0o777 == 0o600
    del access
    assert list(keys.iterdir()) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("[]", "is not a kubeconfig"),
        ('{"contexts": 7}', "Expected contexts in .* to be a list"),
        ('{"contexts": [{}]}', "to have a name"),
        ('{"current-context": "a"}', "Expected object with name a in contexts list"),
        (
            '{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": 7}}]}',
            "Expected key cluster in .*contexts.name=a",
        ),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path: Path, document: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(document)
    with pytest.raises(ApiServerError, match=said):
        Access(kubeconfig=str(path))


def test_an_entry_that_nobody_asks_for_may_be_wrong(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "config", "a", {"token": "abc"}))
    document = json.loads(path.read_text())
    document["users"].append({"name": "b", "token": "one level too high"})
    path.write_text(json.dumps(document))

    assert Access(kubeconfig=str(path)).authorization() == "Bearer abc"
    assert read_kubeconfig(str(path)) is not None


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service account of a Pod, and no kubeconfig."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("first")
    (folder / "ca.crt").write_text("pem")
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def test_the_token_of_a_pod_is_read_again_after_a_minute(account: Path) -> None:
    now = [1000.0]
    access = Access(clock=lambda: now[0])
    assert access.server.url == "https://[fd00::1]:443"
    assert access.authorization() == "Bearer first"
    (account / "token").write_text("second\n")
    now[0] += 59
    assert access.authorization() == "Bearer first"
    now[0] += 1
    assert access.authorization() == "Bearer second"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("token", None, "Service token file does not exist"),
        ("token", "", "Token file exists but empty."),
        ("ca.crt", None, "Service certification file does not exist."),
        ("ca.crt", "", "Cert file exists but empty."),
    ],
)
def test_what_is_wrong_with_a_service_account_is_said(
    account: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (account / file).unlink()
    else:
        (account / file).write_text(content)
    with pytest.raises(ApiServerError) as caught:
        Access()
    assert f"the service account of this Pod ({account}): {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "proxy"),
    [
        ("", "http://proxy:3128"),
        ("example.com", "http://proxy:3128"),
        ("*", ""),
        ("10.0.0.1", ""),
        ("192.168.0.0/16, 10.0.0.0/8", ""),
        ("10.1.0.0/16", "http://proxy:3128"),
        ("10.0.0.1:6443", ""),
        ("10.0.0.1:443", "http://proxy:3128"),
    ],
)
def test_the_environment_says_which_proxy_and_for_whom_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str, proxy: str
) -> None:
    for name in ("https_proxy", "no_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    plain = written(tmp_path / "plain", "a", {})
    named = written(tmp_path / "named", "a", {}, **{"proxy-url": "socks5://other:1080"})

    assert Access(kubeconfig=plain).server.proxy == proxy
    assert Access(kubeconfig=named).server.proxy == "socks5://other:1080"


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443"])
def test_a_cluster_on_this_machine_is_asked_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """Such as kind's: a proxy would look for it on its own machine."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert Access(kubeconfig=written(tmp_path / "c", "a", {}, server=server)).server.proxy == ""


def test_a_token_in_a_file_counts_before_one_that_is_written_down(tmp_path: Path) -> None:
    """The file is written anew when its token ends; without it the other is all there is."""
    path = written(tmp_path / "config", "a", {"token": "old", "tokenFile": "token"})
    without = Access(kubeconfig=path).authorization()
    (tmp_path / "token").write_text("new\n")

    assert (without, Access(kubeconfig=path).authorization()) == ("Bearer old", "Bearer new")


def test_the_kubernetes_client_is_imported_for_plugins_only(tmp_path: Path) -> None:
    path = written(tmp_path / "config", "a", {"token": "abc"})
    code = (
        "import sys; from nptables.sources.apiserver import Connection\n"
        f"Connection(kubeconfig={path!r})\n"
        "print('kubernetes' in sys.modules, 'urllib3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_token_of_an_auth_provider_is_asked_of_the_kubernetes_client(tmp_path: Path) -> None:
    # Until the year 2100.
    claims = base64.urlsafe_b64encode(b'{"exp":4102444800}').decode().rstrip("=")
    token = f"e30.{claims}.c2ln"
    provider = {"name": "oidc", "config": {"id-token": token}}
    path = written(tmp_path / "config", "a", {"auth-provider": provider})

    assert Access(kubeconfig=path).authorization() == f"Bearer {token}"
