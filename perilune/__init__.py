"""Perilune: an open, complete implementation of the Kimi k1.5 training system."""

__version__ = "0.1.0"
