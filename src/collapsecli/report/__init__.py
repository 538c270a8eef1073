"""Renderings of a run's conclusions. A report computes nothing: every number it prints was measured before."""
