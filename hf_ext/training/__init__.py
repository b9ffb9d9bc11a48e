"""What Trainer is given: jobs, callbacks and curves; importing this registers the callbacks."""

from hf_ext.training.registration import register_callbacks

__all__ = ["register_callbacks"]

register_callbacks()
