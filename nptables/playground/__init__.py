"""The Python half of the playground: a page asks, the library answers, both in a browser tab.

`answer` takes a request and gives a reply, JSON both, in the shapes of `protocol`. It needs no
process, thread, socket or clock, and writes nothing to standard output.
"""

from nptables.playground.answering import answer

__all__ = ["answer"]
