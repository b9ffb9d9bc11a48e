"""Models behind HTTP: a page of requests for each, batched, within limits, measured."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
