"""Whether a text says something good: a task as small as one can be, which test_toy_task.py puts among the others."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
