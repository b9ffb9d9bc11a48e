"""CLUE: eleven tasks of understanding Chinese, and diagnostics."""
