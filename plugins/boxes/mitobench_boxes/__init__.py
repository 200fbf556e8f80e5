"""Box estimators: a box for every annotated mitosis."""
