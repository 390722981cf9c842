"""What an API server refuses in a manifest for its values, named as the server names it.

The rules are those of kube-apiserver 1.36 (ValidateService, ValidateEndpointSlice and so on)
as far as they can be known without the server's state. Shape comes before this
(`nptables.model.schema`); what no rule can hold is found while reading.
"""

from nptables.model.validation.rules import validate

__all__ = ["validate"]
