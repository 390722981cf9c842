"""What an input can know about the endpoints of a Service, and why it has none."""

from nptables.translation.backing.causes import Cause, Related
from nptables.translation.backing.certainty import Backed, backed
from nptables.translation.backing.ports import port_causes
from nptables.translation.backing.readiness import readiness_causes

__all__ = ["Backed", "Cause", "Related", "backed", "port_causes", "readiness_causes"]
