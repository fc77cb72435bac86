"""Candidates on circuits that are run one by one: banks, shift rules, estimators, networks."""
