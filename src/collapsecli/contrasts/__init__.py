"""Numbers about several cells: one file per kind, each from the draws of the cells that it is about. Draws nothing."""
