"""What any Trainer is given; importing this registers the callbacks."""

import lazy_loader

from hf_ext.training.registration import register_callbacks

register_callbacks()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
