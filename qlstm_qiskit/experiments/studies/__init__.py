"""Studies: tables of many runs, their records and statistics."""
