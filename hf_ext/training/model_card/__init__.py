"""The model card that a run writes beside its model."""
