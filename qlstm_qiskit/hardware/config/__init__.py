"""Entries of backends.yaml: their fields, their rules, the file, and what may not stand in it."""
