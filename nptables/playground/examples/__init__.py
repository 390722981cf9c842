"""Examples: a question each, its answer, and the state that shows it."""
