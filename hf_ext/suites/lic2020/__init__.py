"""LIC2020: questions on texts, relations and events of one contest of Chinese."""
