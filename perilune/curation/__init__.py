"""Curation of the prompt set (k1.5, section 2.1), and the warm-up set that a model writes (section 2.2)."""
