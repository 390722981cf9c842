"""Listings: what `iptables -L` prints, back to the lines that `iptables-save` prints."""

from nptables.iptables.listing.tables import CUT_OFF, Listed, is_title, read_listing

__all__ = ["CUT_OFF", "Listed", "is_title", "read_listing"]
