"""Labels as words that a masked language model puts into a text: PET and P-tuning."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
