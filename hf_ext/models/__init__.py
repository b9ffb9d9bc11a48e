"""The families of models, a folder each; importing registers them all."""

from importlib import import_module
from pkgutil import iter_modules

for family in iter_modules(__path__, f"{__name__}."):
    if family.ispkg:
        import_module(family.name)
