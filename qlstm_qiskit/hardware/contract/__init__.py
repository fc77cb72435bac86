"""The contract of every backend, executor and measurement; the other rooms build on it."""
