"""What rules say, told from their text: which a destination meets, and which of these differ."""
