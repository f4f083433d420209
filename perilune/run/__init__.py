"""A run on disk and in time: its folder, what is committed when, and what stops it."""
