"""A whole cluster: a snapshot of every node in a folder, and the judging of all of them."""
