"""The content of report pages as plain data: of a run, of a study, of a scaling folder."""
