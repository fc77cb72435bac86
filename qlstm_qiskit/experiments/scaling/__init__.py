"""Growth of time and memory of a training step."""
