"""Data sets: read and write the real file layouts; cards and splits."""

from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.reader import Reader, available, load, reader

__all__ = ["Card", "Dataset", "Item", "Reader", "available", "load", "reader"]
