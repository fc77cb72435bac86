"""A conformance suite for backends: what the device does when Qiskit runs it, and what this package makes of it."""
