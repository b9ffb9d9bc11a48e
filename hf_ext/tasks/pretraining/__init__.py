"""What pre-training is given: documents, whole-word masks, pseudo-summaries."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
