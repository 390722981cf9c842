"""What a translation looks like on paper: restore text, JSON, one Service, with reasons."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.rendering.explaining import explained
    from nptables.rendering.narrowing import narrowed_to
    from nptables.rendering.restoring import restore_text

# A ruleset writes its own text, and most are printed as they are.
__getattr__ = imported_on_use(
    __name__,
    {
        "explained": "nptables.rendering.explaining",
        "narrowed_to": "nptables.rendering.narrowing",
        "restore_text": "nptables.rendering.restoring",
    },
)

__all__ = ["explained", "narrowed_to", "restore_text"]
