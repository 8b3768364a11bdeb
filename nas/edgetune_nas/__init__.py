"""From labelled windows to a model bundle."""
