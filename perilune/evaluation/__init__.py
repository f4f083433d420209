"""Measuring and showing: scores, metrics, the terminal display, the report."""
