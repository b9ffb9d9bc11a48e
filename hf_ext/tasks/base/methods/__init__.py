"""Ways of training that any task may be given, a file each; `methods` has them all."""
