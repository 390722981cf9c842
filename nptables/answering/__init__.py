"""What is asked of manifests and of a node's evidence, and the documents that answer it.

The command line and the playground are two fronts of these functions: what one prints with
`-o json`, the other shows.
"""

from nptables.answering.saying import Say, silent

__all__ = ["Say", "silent"]
