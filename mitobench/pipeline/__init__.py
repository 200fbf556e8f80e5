"""Runs benchmarks: plans the distinct stages of all combinations, runs them, and caches their outputs in a store."""
