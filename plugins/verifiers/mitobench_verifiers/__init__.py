"""Verifiers: a second opinion on every candidate."""
