"""The files that benchmark sites take: what goes into them, the flat zip of them, and what is wrong with one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
