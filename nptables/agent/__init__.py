"""Keeping a node in sync with a cluster: the loop behind `nptables run`.

What whoever runs it may expect:

1. Nothing is programmed from half of a cluster. Rules from before the start stay as they are until
   complete lists of Services and EndpointSlices are there and the Node is known (or was awaited
   for long enough).
2. What the API server says reaches the kernel within minSyncPeriod plus one sync; many changes
   to one object before it cost one.
3. Whatever fails is tried again with growing pauses, never in a tight loop; after a failure the
   kernel is read first, because its contents are unknown.
4. What others break is repaired: flushed tables and missing jumps within the check period, any
   other difference at the next verification. It is reported with the lines it was about.
5. It may be killed at any moment; the next start converges. A regular stop leaves the rules.
6. In observe mode nothing is written anywhere, and drift is reported.

How it is built. One thread owns all state: it takes events from one queue (what the API server
said, changed addresses, signals), asks the Schedule what is due and lets the Engines do it.
Everything else feeds that queue or answers questions from values that the thread published:
a thread for each watch, because urllib3 blocks until the next line comes, one for netlink, one
for probes and one for metrics. Threads rather than asyncio: programming the kernel means waiting
for a program, and nothing else may happen to the state meanwhile anyway. Only the two that
answer HTTP run an event loop, each for all of its connections.

`core` is the agent itself: `store` is what is known, `schedule` when something is due, `engine`
the rules of one family and what waits for them, `health` what probes are told, and `loop` joins
them; these start no thread, and their clock is passed in. `events` has the queue and who feeds it,
`serving` answers on ports, `process` is what a process owes its node, and `running` wires them to
the world.
docs/architecture.md follows one change through these files.
"""

from nptables.agent.core.engine import Engine, Outcome
from nptables.agent.core.health import Health
from nptables.agent.core.loop import Agent, Options
from nptables.agent.core.schedule import Schedule, Task
from nptables.agent.core.store import Store

__all__ = ["Agent", "Engine", "Health", "Options", "Outcome", "Schedule", "Store", "Task"]
