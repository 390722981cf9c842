"""Why the rules are as they are: what was decided, what made a rule, and whose a chain is."""
