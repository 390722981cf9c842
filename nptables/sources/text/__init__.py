"""Text to mappings: YAML and JSON as kubectl reads them, with the place of every field."""

from nptables.sources.text.document import Document, parse_text
from nptables.sources.text.files import Input, read_inputs, read_one

__all__ = ["Document", "Input", "parse_text", "read_inputs", "read_one"]
