"""Manifests as repositories have them: folders to the sets of objects that belong together."""

from nptables.sources.trees.sets import Arrangement, LeftOut, Part, Wanted, arrange
from nptables.sources.trees.walking import PassedOver

__all__ = ["Arrangement", "LeftOut", "Part", "PassedOver", "Wanted", "arrange"]
