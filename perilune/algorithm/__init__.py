"""The algorithms as pure functions of records and arrays; each names its equation or section."""
