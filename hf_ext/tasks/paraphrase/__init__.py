"""Sentences that say the same: generated and retrieved, with SimBERT and RoFormer-Sim."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
