"""Rows of public data sets of programs, by the name of their form."""
