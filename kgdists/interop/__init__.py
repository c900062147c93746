"""Bridges to other libraries, one per file; the user imports the one in need, kgdists itself none."""
