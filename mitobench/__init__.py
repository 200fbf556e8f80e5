"""mitobench: a plugin-based model zoo and benchmark harness for mitosis detection in H&E histology."""

__version__ = "0.1.0"
