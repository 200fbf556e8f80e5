"""Fusers that need scikit-learn."""
