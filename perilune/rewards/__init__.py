"""Rewards: right, wrong or error, and the worker processes that grade."""
