"""What the commands about a whole cluster print."""
