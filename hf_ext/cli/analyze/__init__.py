"""`hf-ext analyze`: what can be found out about a model, one file a subcommand."""
