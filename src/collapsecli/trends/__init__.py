"""One suite over checkpoints, sizes or nights: what runs, in what order, and what changes. Knows no screen."""

from collapsecli.trends.found import runs_of, said_incomplete
from collapsecli.trends.order import Order, Place, ordered
from collapsecli.trends.table import trend_json, trend_table
from collapsecli.trends.trend import trend_of

__all__ = ["Order", "Place", "ordered", "runs_of", "said_incomplete", "trend_json", "trend_of", "trend_table"]
