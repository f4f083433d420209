"""Runs untrusted programs: the sandbox, the judge, test cases, and the service."""
