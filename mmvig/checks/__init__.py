"""What answers wrong input with one line: expected, got, what to do."""
