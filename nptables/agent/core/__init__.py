"""The agent itself: what it knows, when something is due, and bringing that to the kernel."""
