"""Texts through a box with modems in it."""
