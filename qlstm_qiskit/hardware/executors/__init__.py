"""Evaluation of circuits: Aer, the primitives, local simulation; packing, chunks, cost, results."""
