"""Entries of backends.yaml: their fields, their rules, the file, and the credentials that it must not hold."""
