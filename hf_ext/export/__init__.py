"""Models as graphs that run without PyTorch, and the pipelines that read what they give."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
