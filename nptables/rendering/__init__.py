"""What a translation looks like on paper: restore text, JSON, one Service, with reasons."""

from nptables.rendering.explained import explained
from nptables.rendering.narrowing import narrowed_to
from nptables.rendering.restoring import restore_text

__all__ = ["explained", "narrowed_to", "restore_text"]
