"""An engine that runs elsewhere: a server that speaks OpenAI's API. No type of an HTTP library leaves this package."""

from __future__ import annotations

from collapsecli.engines.server.engine import ServerEngine

__all__ = ["ServerEngine"]
