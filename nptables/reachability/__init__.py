"""Which nodes answer at which addresses of which Services, and why the others do not."""

from nptables.reachability.alike import Alike
from nptables.reachability.expecting import Contradiction, Expectation, contradictions
from nptables.reachability.fare import Fare, Fares, fare_of
from nptables.reachability.matrix import Cell, Column, Reach, Row, columns
from nptables.reachability.reaching import Configs, across, config_of, reach

__all__ = [
    "Alike",
    "Cell",
    "Column",
    "Configs",
    "Contradiction",
    "Expectation",
    "Fare",
    "Fares",
    "Reach",
    "Row",
    "across",
    "columns",
    "config_of",
    "contradictions",
    "fare_of",
    "reach",
]
