"""The shape of Kubernetes objects: which fields there are and what type each has."""

from nptables.model.schema.check import UNKNOWN_FIELD, conforms, shape_problems

__all__ = ["UNKNOWN_FIELD", "conforms", "shape_problems"]
