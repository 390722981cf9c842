"""Manifests as repositories have them: folders to the sets of objects that belong together."""

from nptables.sources.trees.sets import Arrangement, LeftOut, Part, Wanted, arrange, heads_a_set
from nptables.sources.trees.walking import PassedOver

__all__ = ["Arrangement", "LeftOut", "Part", "PassedOver", "Wanted", "arrange", "heads_a_set"]
