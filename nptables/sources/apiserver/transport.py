"""HTTP to an API server, by urllib3, which is what the kubernetes client uses beneath as well."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from nptables.errors import ApiServerError, MissingPackage, printable
from nptables.sources.apiserver.credentials import PLUGIN_SECONDS, Access, Server
from nptables.sources.apiserver.kubeconfig import POD_VARIABLE, Place
from nptables.sources.apiserver.refusals import error_of, parse_retry_after, reason_of

# Seconds to wait for a connection, and for the next byte of a list.
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
# A Status is small, while the error page of a proxy on the way can be anything.
_ERROR_BODY = 65536
_POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Response(Protocol):
    """The body of a successful answer, read once."""

    def read(self) -> bytes:
        """All of it. Raises ApiServerError where it breaks off."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Its pieces as they come. Raises ApiServerError where it breaks off or falls silent."""
        ...

    def close(self) -> None:
        """Give the connection back; whoever is reading in another thread is woken."""
        ...


class Transport(Protocol):
    """What the list-and-watch loop needs of a connection."""

    def get(
        self, path: str, query: Mapping[str, str], *, read_timeout: float = READ_TIMEOUT
    ) -> Response:
        """The answer to a GET. Raises ApiServerError for every answer but a 2xx, and for none."""
        ...

    def renew(self) -> None:
        """Read configuration, certificates and credentials again before the next request."""
        ...


class Connection:
    """A connection to the API server that a kubeconfig, or the Pod's service account, names.

    Without a kubeconfig the service account counts inside a Pod, else KUBECONFIG and
    ~/.kube/config, as for kubectl. One thread uses one Connection. With `step_seconds` no step of a
    request (a credential plugin, connecting, a read) takes longer than so many seconds. Raises
    ApiServerError for an unusable configuration, and MissingPackage without urllib3, or without
    the `kubernetes` package where a kubeconfig names a plugin.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        step_seconds: float | None = None,
    ) -> None:
        self._step_seconds = step_seconds
        self._kubeconfig = kubeconfig or None
        self._context = context
        self._access: Access | None = None
        self._pool: Any = None
        self._open()

    @property
    def place(self) -> Place:
        """Which cluster this is a connection to."""
        return (self._access or self._open()).place

    def get(
        self, path: str, query: Mapping[str, str], *, read_timeout: float = READ_TIMEOUT
    ) -> Response:
        """See Transport."""
        return _Answer(
            self._ask("GET", f"{path}?{urlencode(query)}" if query else path, read_timeout)
        )

    def post(self, path: str, document: Mapping[str, Any]) -> None:
        """Create an object. Raises ApiServerError for every answer but a 2xx, and for none."""
        body = json.dumps(document).encode()
        _Answer(self._ask("POST", path, READ_TIMEOUT, body)).read()

    def delete(self, path: str) -> None:
        """Delete an object. Raises ApiServerError for every answer but a 2xx, and for none."""
        _Answer(self._ask("DELETE", path, READ_TIMEOUT)).read()

    def stream(self, path: str, seconds: float) -> Any:
        """The kubernetes client's own stream of a websocket, with bytes on its channels.

        Every wait for the server ends after `seconds`. Raises ApiServerError.
        """
        try:
            import websocket  # noqa: PLC0415 - comes with the kubernetes client
            from kubernetes.stream.ws_client import (  # noqa: PLC0415
                WSClient,
                get_websocket_url,
            )
        except ImportError as error:
            raise _missing(error) from error
        access = self._access or self._open()
        access.refresh()
        headers = {"authorization": given} if (given := access.authorization()) else {}
        # The client gives no limit of its own to the websocket: it takes the package's.
        websocket.setdefaulttimeout(seconds)
        url = get_websocket_url(f"{access.server.url}{path}")
        configuration = _configuration(access.server)
        try:
            return WSClient(configuration, url, headers, capture_all=False, binary=True)
        except websocket.WebSocketBadStatusException as error:
            raise _refused_upgrade(error) from error
        except (websocket.WebSocketException, OSError, ValueError) as error:
            self.renew()
            raise ApiServerError(f"cannot be reached: {reason_of(error)}") from error

    def _ask(self, method: str, path: str, read_timeout: float, body: bytes | None = None) -> Any:
        """urllib3's answer, if it is a 2xx."""
        import urllib3  # noqa: PLC0415 - an extra

        access = self._access or self._open()
        # New credentials may be a client certificate, and that belongs to the connections
        # themselves.
        if access.refresh() or self._pool is None:
            self._disconnect()
            self._pool = _pool(access.server)
        headers = {"Accept": "application/json", "User-Agent": "nptables"}
        if authorization := access.authorization():
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._pool.request(
                method,
                f"{access.server.url}{path}",
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(
                    connect=self._step_seconds or CONNECT_TIMEOUT,
                    read=self._step_seconds or read_timeout,
                ),
                preload_content=False,
                # Only the loop decides when to ask again, and nobody sends us elsewhere.
                retries=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # A rotated authority or client certificate shows as a failed handshake.
            self.renew()
            raise ApiServerError(f"cannot be reached: {reason_of(error)}") from error
        if 200 <= answer.status < 300:
            return answer
        raise _refused(answer)

    def renew(self) -> None:
        """See Transport."""
        self._disconnect()
        self._access = None

    def _open(self) -> Access:
        try:
            import urllib3  # noqa: F401, PLC0415 - an extra: whoever lacks it is told now

            self._access = Access(
                kubeconfig=self._kubeconfig,
                context=self._context,
                plugin_seconds=self._step_seconds or PLUGIN_SECONDS,
            )
        except ImportError as error:
            raise _missing(error) from error
        return self._access

    def _disconnect(self) -> None:
        if self._pool is not None:
            self._pool.clear()
        self._pool = None


def _missing(error: ImportError) -> MissingPackage:
    package = (error.name or "kubernetes").partition(".")[0]
    return MissingPackage(package, extra="cluster", purpose="ask a cluster")


def _pool(server: Server) -> Any:
    """Connections to a server as its kubeconfig wants them."""
    import urllib3  # noqa: PLC0415 - an extra

    options: dict[str, Any] = {
        "cert_reqs": "CERT_REQUIRED" if server.verify else "CERT_NONE",
        "ca_certs": server.authority,
        "cert_file": server.certificate,
        "key_file": server.key,
    }
    if server.tls_name:
        options["server_hostname"] = server.tls_name
    if not server.proxy:
        return urllib3.PoolManager(**options)
    if server.proxy.startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - rarely needed

        return SOCKSProxyManager(server.proxy, **options)
    return urllib3.ProxyManager(server.proxy, **options)


def _configuration(server: Server) -> Any:
    """The same for the kubernetes client."""
    from kubernetes.client.configuration import Configuration  # noqa: PLC0415 - an extra

    found: Any = Configuration()
    found.host, found.verify_ssl = server.url, server.verify
    found.ssl_ca_cert = server.authority
    found.cert_file, found.key_file = server.certificate, server.key
    found.tls_server_name = server.tls_name or None
    found.proxy = server.proxy or None
    return found


def kubeconfig_of_proxy(
    path: str, *, environment: Mapping[str, str] = os.environ, token: Path = _POD_TOKEN
) -> str | None:
    """The kubeconfig to use where kube-proxy's configuration names one; None for the usual rules.

    kubeadm's names a file that only kube-proxy's own Pods have. Where it is not there, a Pod has
    its service account. Raises ApiServerError where there is none either.
    """
    if not path or Path(path).exists():
        return path or None
    if POD_VARIABLE in environment and token.exists():
        return None
    raise ApiServerError(
        f"clientConnection.kubeconfig names {printable(path)}, which does not exist: name a "
        f"kubeconfig with --kubeconfig"
    )


class _Answer:
    """A 2xx answer of urllib3."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self) -> bytes:
        body: bytes = _translated(self._answer.read)
        self._answer.release_conn()
        return body

    def chunks(self) -> Iterator[bytes]:
        pieces = self._answer.stream(65536)
        while (piece := _translated(lambda: next(pieces, None))) is not None:
            yield piece

    def close(self) -> None:
        # A reader in another thread sleeps in recv(): only shutting the socket down wakes it.
        with suppress(Exception):
            self._answer.shutdown()
        with suppress(Exception):
            self._answer.close()


def _translated(read: Callable[[], Any]) -> Any:
    """What `read` gives; a broken connection as an ApiServerError."""
    import urllib3  # noqa: PLC0415

    try:
        return read()
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ApiServerError("it stopped sending in the middle of a response") from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
        # The last two are what urllib3 raises where close() pulled the rug away.
        raise ApiServerError("the connection broke off in the middle of a response") from error


def _refused(answer: Any) -> ApiServerError:
    """The error for an answer that is no success, with the server's own words."""
    try:
        body = answer.read(_ERROR_BODY)
    except Exception:  # noqa: BLE001 - the status says enough
        body = b""
    finally:
        answer.close()
    status: object = None
    with suppress(ValueError, RecursionError):
        status = json.loads(body)
    refused = error_of(status, f"{answer.status} {answer.reason or ''}".strip())
    refused.status = int(answer.status)
    header = parse_retry_after(answer.headers.get("Retry-After", ""))
    refused.retry_after = max(refused.retry_after, header)
    return refused


def _refused_upgrade(error: Any) -> ApiServerError:
    """The error for an answer to the request of a websocket that opens none."""
    status: object = None
    with suppress(ValueError, RecursionError, TypeError):
        status = json.loads(error.resp_body)
    refused = error_of(status, f"it answered {error.status_code}")
    refused.status = int(error.status_code)
    return refused
