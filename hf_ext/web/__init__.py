"""The web page of ``hf-ext demo --web``: what a model finds, as escaped HTML and SVG, and the page around it."""
