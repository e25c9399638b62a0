"""`python -m smr` is the same as `smr`."""

from smr.cli.app import main

if __name__ == "__main__":
    main()
