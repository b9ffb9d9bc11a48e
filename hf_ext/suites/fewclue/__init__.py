"""FewCLUE: nine tasks of CLUE and others with few examples each."""
