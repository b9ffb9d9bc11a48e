"""What a checkpoint needs to be used elsewhere."""
