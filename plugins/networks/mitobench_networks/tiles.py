"""Which tiles of an image a network sees at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

ON_GPU = 4  # tiles; a CPU gains nothing from several


def tiles_at_once(device: str) -> int:
    """Returns how many tiles a network sees at once on `cpu` or `cuda`."""
    return ON_GPU if device.startswith("cuda") else 1


def batches(sizes: Sequence[tuple[int, int]], at_once: int) -> Iterator[list[int]]:
    """Yields the numbers of tiles that are seen together: of the same size, at most `at_once`.

    Args:
        sizes: height and width of what the network sees of each tile, px.
        at_once: number of tiles.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for number, size in enumerate(sizes):
        alike.setdefault(size, []).append(number)
    for numbers in alike.values():
        for start in range(0, len(numbers), at_once):
            yield numbers[start : start + at_once]
