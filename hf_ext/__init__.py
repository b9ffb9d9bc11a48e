"""Su Jianlin's models, heads and losses for Transformers v5. Importing registers them with the Auto classes.

Public names are listed in ``__init__.pyi`` and imported when they are first used.
"""

from importlib.util import find_spec

import lazy_loader

# Without PyTorch there are no models to register, and what was exported runs all the same.
if find_spec("torch") is not None:
    import hf_ext.models
    import hf_ext.tasks
    import hf_ext.training  # noqa: F401

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
