"""HTTP to an API server, with the configuration and the credentials of the kubernetes client."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from nptables.errors import ApiServerError, MissingPackage, printable

if TYPE_CHECKING:
    from nptables.sources.apiserver.credentials import Access
    from nptables.sources.apiserver.kubeconfig import Place

# Seconds to wait for a connection, and for the next byte of a list.
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
# No server has us wait for longer, in seconds.
LONGEST_WISH = 3600.0
_ERROR_BODY = 65536
# What every Pod has that may talk to the API server.
POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
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
    ~/.kube/config, as for kubectl. One thread uses one Connection. With `patience` no step of a
    request (a credential plugin, connecting, a read) takes longer than so many seconds. Raises
    MissingPackage without the `kubernetes` package and ApiServerError for an unusable
    configuration.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        user_agent: str = "nptables",
        patience: float | None = None,
    ) -> None:
        self._patience = patience
        self._kubeconfig = kubeconfig or None
        self._context = context
        self._user_agent = user_agent
        self._access: Access | None = None
        self._client: Any = None
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
        import websocket  # noqa: PLC0415 - comes with the kubernetes client
        from kubernetes.stream.ws_client import (  # noqa: PLC0415
            WSClient,
            get_websocket_url,
        )

        access = self._access or self._open()
        access.refresh()
        headers = {"authorization": given} if (given := access.authorization()) else {}
        # The client gives no limit of its own to the websocket: it takes the package's.
        websocket.setdefaulttimeout(seconds)
        url = get_websocket_url(f"{access.configuration.host.rstrip('/')}{path}")
        try:
            return WSClient(access.configuration, url, headers, capture_all=False, binary=True)
        except websocket.WebSocketBadStatusException as error:
            raise _refused_upgrade(error) from error
        except (websocket.WebSocketException, OSError, ValueError) as error:
            self.renew()
            raise ApiServerError(f"cannot be reached: {reason_of(error)}") from error

    def _ask(self, method: str, path: str, read_timeout: float, body: bytes | None = None) -> Any:
        """urllib3's answer, if it is a 2xx."""
        import urllib3  # noqa: PLC0415 - comes with the kubernetes client

        access = self._access or self._open()
        if access.refresh() or self._client is None:
            self._connect(access)
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        if authorization := access.authorization():
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._client.rest_client.pool_manager.request(
                method,
                f"{self._client.configuration.host.rstrip('/')}{path}",
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(
                    connect=self._patience or CONNECT_TIMEOUT,
                    read=self._patience or read_timeout,
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
            # It imports the client: heavy, and an extra.
            from nptables.sources.apiserver.credentials import (  # noqa: PLC0415
                PLUGIN_SECONDS,
                Access,
            )
        except ImportError as error:
            raise MissingPackage("kubernetes", extra="cluster", purpose="ask a cluster") from error
        self._access = Access(
            kubeconfig=self._kubeconfig,
            context=self._context,
            plugin_seconds=self._patience or PLUGIN_SECONDS,
        )
        return self._access

    def _connect(self, access: Access) -> None:
        from kubernetes.client.api_client import ApiClient  # noqa: PLC0415

        self._disconnect()
        self._client = ApiClient(access.configuration)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.rest_client.pool_manager.clear()
        self._client = None


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


def error_of(status: object, otherwise: str) -> ApiServerError:
    """The error that a Status object says, as far as it is one; `otherwise` are words for it."""
    found = status if isinstance(status, Mapping) else {}
    message, code, details = (found.get(key) for key in ("message", "code", "details"))
    after = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
    return ApiServerError(
        printable(message if isinstance(message, str) and message else otherwise),
        status=code if isinstance(code, int) and 100 <= code <= 599 else 0,
        retry_after=_sensible(after),
    )


def _sensible(seconds: object) -> float:
    """How long to wait at a server's wish: at most LONGEST_WISH, and 0 for what is no number."""
    # The comparison is false for what is not a number, and takes an integer of any size.
    if isinstance(seconds, int | float) and seconds > 0:
        return float(min(seconds, LONGEST_WISH))
    return 0.0


def parse_retry_after(text: str) -> float:
    """The seconds of a Retry-After header; 0 for none, at most LONGEST_WISH.

    A date, which API servers never send, counts as none.
    """
    text = text.strip()
    return _sensible(int(text[:9])) if text.isascii() and text.isdigit() else 0.0


def reason_of(error: BaseException) -> str:
    """What went wrong, on one line; the innermost cause says it best."""
    while error.__cause__ is not None or (error.__context__ is not None):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return printable(str(error) or type(error).__name__)
