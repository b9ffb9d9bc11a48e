"""`python -m hf_ext.cli` is `hf-ext`."""

from hf_ext.cli import main

if __name__ == "__main__":
    main()
