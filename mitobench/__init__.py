"""mitobench: a plugin-based model zoo and benchmark harness for mitosis detection in H&E histology."""

__version__ = "0.2.0"
