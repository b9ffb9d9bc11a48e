"""One of several choices for a question: reading comprehension with choices, idioms for blanks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
