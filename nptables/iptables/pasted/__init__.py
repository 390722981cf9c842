"""Rules as people paste them: quoted, cut, listed, of one command or several."""

from nptables.iptables.pasted.placing import Homes
from nptables.iptables.pasted.reading import Kind, Pasted, read_pasted

__all__ = ["Homes", "Kind", "Pasted", "read_pasted"]
