"""The commands of `hf-ext export`, one file each."""
