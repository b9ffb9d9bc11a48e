"""Similarity without labels: five tasks, whitening and SimCSE by the articles' protocol, and C-MTEB's through mteb."""
