"""The answer: effects, and how they are said."""
