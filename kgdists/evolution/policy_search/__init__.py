"""Searches for the weights of a policy."""
