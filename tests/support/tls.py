"""Server and client certificates for tests."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


def server_context(authority: trustme.CA, *, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """TLS as a server on 127.0.0.1; only for clients that `clients` vouches for, if it is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def written(authority: trustme.CA, path: Path) -> str:
    """The file that an authority's certificate was written to."""
    authority.cert_pem.write_to_path(str(path))
    return str(path)
