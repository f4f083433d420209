"""What is compared: each contender is a process with a Python of its own, and only one of them works at a time."""
