"""How time and memory of a training step grow."""
