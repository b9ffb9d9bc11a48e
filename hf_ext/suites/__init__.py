"""Benchmark suites: tables of tasks that `hf-ext` trains, predicts and reports together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
