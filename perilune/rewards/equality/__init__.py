"""When two answers say the same: read into values first, and compared as what they are."""
