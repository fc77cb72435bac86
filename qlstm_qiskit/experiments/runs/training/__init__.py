"""Training into run folders: one model, an ensemble, or runs side by side."""
