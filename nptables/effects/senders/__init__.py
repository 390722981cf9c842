"""Who sends: classes of source addresses that no rule distinguishes, and what they are."""
