"""Where the API server is and who we are to it: a Pod's service account, or a kubeconfig.

What most agents have is read here: service accounts, tokens, client certificates, passwords. The
`kubernetes` client does the same, but to import it takes 0.2 s of a start that takes 0.5 s and
20 MB of the 60 that stay (docs/dependencies.md). It is asked for what needs more than a file: exec
plugins and auth providers (`plugins`).

Sources: k8s.io/client-go/tools/clientcmd (which file and which entry counts, relative paths) and
k8s.io/client-go/transport/token_source.go (a token file is read again once a minute).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nptables.errors import ApiServerError, printable
from nptables.immutable import frozen
from nptables.inet import with_port
from nptables.sources.apiserver.kubeconfig import (
    POD_VARIABLE,
    Entry,
    Kubeconfig,
    Place,
    default_location,
    files_of,
    read_kubeconfig,
)
from nptables.sources.apiserver.refusals import reason_of, unusable

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from nptables.sources.apiserver.plugins import Credentials, Plugin

# How long an exec plugin may take.
PLUGIN_SECONDS = 60.0
# What the kubelet puts into every Pod that may talk to the API server.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POD_PORT_VARIABLE = "KUBERNETES_SERVICE_PORT"
# How long a token that was read from a file counts, in seconds: the kubelet writes a new one
# minutes before the old one ends.
_REREAD = 60.0
_PORTS = {"https": 443, "http": 80}
# What may stand in an Authorization header.
_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")


@frozen
class Server:
    """An API server as TLS and HTTP need it; paths are of files in PEM.

    `verify` is false where a kubeconfig says not to look at the server's certificate, `tls_name` is
    the name in it where that is not the host of `url`, and `proxy` an URL or empty.
    """

    url: str
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    tls_name: str = ""
    proxy: str = ""


class Access:
    """A cluster's address and the credentials for it.

    `server` is where and how to connect, `place` says which cluster that is. One thread uses one
    Access. Raises ApiServerError for what cannot be used; a plugin that fails does so only when
    the credentials are asked for, since it may work a moment later.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        plugin_seconds: float = PLUGIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = Place()
        self._plugin: Plugin | None = None
        self._credentials: Credentials | None = None
        self._authorization: Callable[[], str] = str
        self._seconds = plugin_seconds
        self._clock = clock
        self._files = self._given = _PrivateFiles()
        try:
            self.server = self._load(kubeconfig, context)
        except (ApiServerError, ImportError):
            raise
        except Exception as error:
            # Files, and the YAML in them, raise whatever they like.
            raise unusable(reason_of(error)) from error

    def refresh(self) -> bool:
        """Run the plugin if its credentials are missing or expired; whether they are others now.

        Raises ApiServerError.
        """
        if self._plugin is None or (self._credentials and self._credentials.valid()):
            return False
        given = self._credentials = self._plugin.run(self._seconds)
        files = self._given = _PrivateFiles()
        if given.certificate:
            self.server = attrs.evolve(
                self.server,
                certificate=files.write("tls.crt", given.certificate.encode()),
                key=files.write("tls.key", given.key.encode()),
            )
        return True

    def authorization(self) -> str:
        """The Authorization header, or an empty string. Raises ApiServerError."""
        if self._credentials is not None and self._credentials.token:
            value = f"Bearer {self._credentials.token}"
        else:
            value = self._authorization()
        if value and not _HEADER.fullmatch(value):
            # The error of whoever sends it would hold the token.
            raise ApiServerError(
                "the credentials cannot be used: the token has a character that no HTTP header "
                "may have, such as a line break"
            )
        return value

    def _load(self, kubeconfig: str | None, context: str | None) -> Server:
        if kubeconfig is None and context is None and os.environ.get(POD_VARIABLE):
            try:
                return self._service_account()
            except (ApiServerError, OSError, ValueError) as error:
                if not _default_files():
                    raise unusable(
                        f"the service account of this Pod ({SERVICE_ACCOUNT}): {_words(error)}"
                    ) from error
        location = kubeconfig or default_location()
        found = read_kubeconfig(location)
        if found is None:
            raise unusable(f"there is no kubeconfig: {printable(location)}")
        return self._kubeconfig(found, _context_name(found, context, location), location)

    def _service_account(self) -> Server:
        host, port = os.environ[POD_VARIABLE], os.environ.get(_POD_PORT_VARIABLE)
        if not port:
            raise ValueError("Service host/port is not set.")
        authority = SERVICE_ACCOUNT / "ca.crt"
        if not authority.is_file():
            raise ValueError("Service certification file does not exist.")
        if not authority.read_bytes():
            raise ValueError("Cert file exists but empty.")
        url = f"https://{with_port(host, port)}"
        token = _TokenFile(SERVICE_ACCOUNT / "token", self._clock)
        # Now, so that a Pod without one is told at the start.
        token.read()
        self._authorization = lambda: f"Bearer {token.read()}"
        self.place = Place(server=url)
        return Server(url, str(authority), proxy=_proxy_of_environment(url))

    def _kubeconfig(self, found: Kubeconfig, name: str, location: str) -> Server:
        chosen = found.named("contexts", name)
        cluster = found.named("clusters", chosen.text("cluster", needed=True))
        known = chosen.text("user") in found.users
        user = found.named("users", chosen.text("user")) if known else None
        self._authorization = self._authorization_of(user, cluster, name, location)
        url = cluster.text("server", needed=True).rstrip("/")
        self.place = Place(name, url, chosen.text("namespace"))
        secure = url.startswith("https")
        return Server(
            url,
            self._file(cluster, "certificate-authority") if secure else None,
            self._file(user, "client-certificate") if secure else None,
            self._file(user, "client-key") if secure else None,
            verify=not cluster.value.get("insecure-skip-tls-verify"),
            tls_name=cluster.text("tls-server-name"),
            proxy=cluster.text("proxy-url") or _proxy_of_environment(url),
        )

    def _authorization_of(
        self, user: Entry | None, cluster: Entry, context: str, location: str
    ) -> Callable[[], str]:
        """What gives the Authorization header, in the order in which client-go tries it."""
        if user is None:
            return str
        if "auth-provider" in user.value:
            from nptables.sources.apiserver.plugins import provided  # noqa: PLC0415 - heavy

            return provided(location, context)
        if path := user.text("tokenFile"):
            file = _TokenFile(user.folder / path, self._clock, user.text("token"))
            file.read()
            return lambda: f"Bearer {file.read()}"
        if token := user.text("token"):
            return lambda: f"Bearer {token}"
        if "exec" in user.value:
            from nptables.sources.apiserver.plugins import Plugin  # noqa: PLC0415 - heavy

            self._plugin = Plugin(user.value["exec"], cluster.value, user.folder.absolute())
        elif user.text("username") and user.text("password"):
            pair = f"{user.text('username')}:{user.text('password')}".encode()
            basic = base64.b64encode(pair).decode()
            return lambda: f"Basic {basic}"
        return str

    def _file(self, entry: Entry | None, key: str) -> str | None:
        """The file that an entry names, or that is made of what it holds itself."""
        if entry is None:
            return None
        if data := entry.text(f"{key}-data"):
            try:
                return self._files.write(f"{key}.pem", base64.b64decode(data))
            except binascii.Error as error:
                raise unusable(f"{key}-data of {entry.name} is not base64") from error
        if not (path := entry.text(key)):
            return None
        if not (file := entry.folder / path).is_file():
            raise unusable(f"File does not exist: {printable(str(file))}")
        return str(file)


class _TokenFile:
    """A file with a token that somebody else writes anew; `token` counts where it is not there."""

    def __init__(self, path: Path, clock: Callable[[], float], token: str = "") -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._instead = token
        self._read_at: float | None = None

    def read(self) -> str:
        """The token, at most a minute old. Raises ApiServerError."""
        now = self._clock()
        if self._read_at is None or now >= self._read_at + _REREAD:
            try:
                token = self._path.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                if self._instead:
                    return self._instead
                raise ApiServerError(
                    f"Service token file does not exist: {printable(str(self._path))}"
                ) from None
            except (OSError, ValueError) as error:
                raise ApiServerError(
                    f"the credentials cannot be read: {reason_of(error)}"
                ) from error
            if not token:
                raise ApiServerError("Token file exists but empty.")
            self._token, self._read_at = token, now
        return self._token


class _PrivateFiles:
    """Files for what OpenSSL takes from files only; they go when this does."""

    def __init__(self) -> None:
        self._folder: str | None = None

    def write(self, name: str, content: bytes) -> str:
        """Write a file that nobody else may read; returns its path."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="nptables-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = Path(self._folder, name)
        # Made with its rights while it is empty: there is no moment in which others may read a key.
        path.touch(mode=0o600)
        path.write_bytes(content)
        return str(path)


def _words(error: Exception) -> str:
    """What is wrong with a service account, without naming the API server twice."""
    return (
        str(error).removeprefix("the API server: ")
        if isinstance(error, ApiServerError)
        else (reason_of(error))
    )


def _default_files() -> list[str]:
    """The kubeconfigs that kubectl would read and that are there."""
    return [path for path in files_of(default_location()) if Path(path).exists()]


def _context_name(found: Kubeconfig, asked: str | None, location: str) -> str:
    """The context that was asked for, else the current one. Raises ApiServerError for none."""
    name = asked or found.current_context
    known = [str(each) for each in found.contexts]
    there = f"; there are: {printable(', '.join(known))}" if known else ""
    if not name:
        raise unusable(
            f"{printable(location)} has no current context: choose one with --context{there}"
        )
    if asked and asked not in known:
        raise unusable(
            f'there is no context "{printable(asked, 80)}" in {printable(location)}{there}'
        )
    return name


def _proxy_of_environment(url: str) -> str:
    """The proxy that HTTPS_PROXY and NO_PROXY have for an URL; none for this machine itself.

    Source: golang.org/x/net/http/httpproxy, which client-go uses and which has no ALL_PROXY.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415
    from urllib.request import getproxies_environment  # noqa: PLC0415 - heavy, and rarely needed

    proxies: Mapping[str, Any] = getproxies_environment()
    parts = urlsplit(url)
    proxy = str(proxies.get(parts.scheme) or "")
    return "" if not proxy or _bypassed(parts, str(proxies.get("no") or "")) else proxy


def _bypassed(url: SplitResult, rules: str) -> bool:
    """Whether NO_PROXY has a host: by its name, its domain, its address or a network of it."""
    import ipaddress  # noqa: PLC0415

    host = (url.hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    # A cluster on this machine, such as kind's, which no proxy would find.
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    port = f":{url.port or _PORTS.get(url.scheme)}"
    for each in rules.split(","):
        rule = each.strip().lower()
        # One colon is that of a port, more are those of an IPv6 address.
        rule = rule.removesuffix(port) if rule.count(":") == 1 else rule
        if rule == "*" or (rule and (host == rule or host.endswith(f".{rule.lstrip('.')}"))):
            return True
        try:
            if address is not None and address in ipaddress.ip_network(rule, strict=False):
                return True
        except ValueError:
            continue
    return False
