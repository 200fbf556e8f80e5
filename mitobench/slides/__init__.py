"""Whole slides and all other files with pixels."""
