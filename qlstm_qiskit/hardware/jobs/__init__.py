"""Jobs that leave this machine: their record, fetching, failures, and services of any maker."""
