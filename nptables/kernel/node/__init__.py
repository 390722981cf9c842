"""What only the node knows, and what is set on it beside the rules."""
