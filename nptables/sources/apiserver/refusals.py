"""What an API server, or the way to it, said instead of an answer, as an ApiServerError."""

from __future__ import annotations

from collections.abc import Mapping

from nptables.errors import ApiServerError, printable

# No server has us wait for longer, in seconds.
LONGEST_WISH = 3600.0


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


def unusable(reason: str) -> ApiServerError:
    """The error for a cluster configuration that leads nowhere."""
    return ApiServerError(f"the cluster configuration cannot be used: {reason}")


def _sensible(seconds: object) -> float:
    """How long to wait at a server's wish: at most LONGEST_WISH, and 0 for what is no number."""
    # The comparison is false for what is not a number, and takes an integer of any size.
    if isinstance(seconds, int | float) and seconds > 0:
        return float(min(seconds, LONGEST_WISH))
    return 0.0
