"""Keras models whose outputs may be distributions."""

from kgdists.models.model import Model

__all__ = ["Model"]
