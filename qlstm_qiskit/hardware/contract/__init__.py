"""What every backend, executor and measurement answers; the other rooms build on it."""
