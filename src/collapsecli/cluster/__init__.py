"""A run on many machines: its plan cut into slices, the slices sampled by workers on a Ray cluster, and joined.

Knows no engine and no statistics: every worker does with its slice what one process does with a whole run.
"""
