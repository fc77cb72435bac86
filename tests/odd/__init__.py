"""Damaged and odd inputs: each is refused in one line, or what comes out is right."""
