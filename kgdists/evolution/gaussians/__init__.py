"""Gaussian search distributions."""
