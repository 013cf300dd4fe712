"""Launcher for a checkout: `python cli.py train` is `textvae train`."""

from textvae.cli import main

if __name__ == "__main__":
    main()
