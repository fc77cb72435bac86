"""Export of models as circuit files or as numbers, and import of circuit files."""
