"""Devices: by name, their noise, layouts on them, circuits fitted to them."""
