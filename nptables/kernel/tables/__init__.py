"""The iptables tables of a node: backends, which one is used, and carrying plans out."""
