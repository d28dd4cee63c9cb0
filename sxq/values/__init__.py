"""Plain values that every room may hold: an explanation, a result, a table."""
