"""The searchers, an algorithm a file."""
