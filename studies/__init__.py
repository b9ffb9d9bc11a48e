"""Small experiments on claims of the articles that this library follows; ``python -m studies`` runs them."""
