"""What the versions of kube-proxy do differently: the one place where that is written down."""

from nptables.model.kubeproxy.habits import HABITS, Habit, in_force
from nptables.model.kubeproxy.versions import NEWEST, OLDEST, VERSIONS, Version

__all__ = ["HABITS", "NEWEST", "OLDEST", "VERSIONS", "Habit", "Version", "in_force"]
