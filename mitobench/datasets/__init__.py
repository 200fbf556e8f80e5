"""Data sets: read and write the real file layouts; cards and splits."""

from mitobench.datasets.base import Card, Dataset, Item, Reader, available, load, reader

__all__ = ["Card", "Dataset", "Item", "Reader", "available", "load", "reader"]
