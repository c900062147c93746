"""Searches of which several processes share the work, to the same bits."""
