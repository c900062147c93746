"""The ground floor: backends, shapes, checks, files."""
