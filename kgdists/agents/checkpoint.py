"""Agents on disk: Keras files, arrays and JSON, nothing that can run code."""
