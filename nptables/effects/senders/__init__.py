"""Who sends: classes of source addresses that nothing tells apart, and who these are."""
