"""The normal form of a rule line; see `normal_form`."""

from nptables.iptables.spelling.normal import normal_form

__all__ = ["normal_form"]
