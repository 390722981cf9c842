"""The shape of Kubernetes objects: which fields there are and what type each has."""

from nptables.model.schema.check import conforms, shape_problems

__all__ = ["conforms", "shape_problems"]
