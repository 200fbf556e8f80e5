"""Data sets: readers and writers of the real layouts, their cards and their splits."""

from mitobench.datasets.base import Card, Dataset, Item, Reader, available, load, reader

__all__ = ["Card", "Dataset", "Item", "Reader", "available", "load", "reader"]
