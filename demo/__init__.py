"""How the bundled pair is made: a small world of text, a model that learns it, and the same model after tuning."""
