"""`python -m collapsecli` is `collapse`."""

from collapsecli.cli import entry_point

if __name__ == "__main__":
    entry_point()
