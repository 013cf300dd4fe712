"""`python -m textvae` is `textvae`."""

from textvae.cli import main

if __name__ == "__main__":
    main()
