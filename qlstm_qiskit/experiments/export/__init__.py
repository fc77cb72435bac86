"""Models as circuit files or numbers, written and read back."""
