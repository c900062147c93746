"""Everything on disk: run folders, checkpoints, curves, films, reports, and the callbacks that write them."""

from kgdists.core.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
