"""collapsecli: measure mode collapse in language models."""

__version__ = "0.1.0.dev0"
