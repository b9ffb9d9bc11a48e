"""Formats of files that several tasks read, a file each; the registry finds and recognises them."""
