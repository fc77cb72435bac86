"""What report pages say, as plain data: of a run, of a study, of a scaling folder."""
