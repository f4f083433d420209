"""The recipe: what a user writes, one module a table; reads no file but the recipe, and loads nothing heavy."""
