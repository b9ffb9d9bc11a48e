"""Pre-training on documents: masked tokens and words, next tokens, all tokens at once, pseudo-summaries."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
