"""Scores of sentences: how likely a language model finds them, which it would take, and what in them is odd."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
