"""The memory for images that are decoded as a whole: a note on large ones, and a refusal before memory runs out."""

from __future__ import annotations

from pathlib import Path

from mitobench.errors import DataError

MIN_PIXELS = 1 << 26  # of an image that is large: below, the memory is less than that of a network
_BYTES = {"JPEG2000": 24, "WEBP": 18}  # a pixel, while an image of this format is decoded
_DEEP_BYTES, _ALPHA_BYTES, _OTHER_BYTES = 16, 12, 8  # with more than 8 bits, with transparency, of all others
_MEMINFO, _LIMIT, _USED = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.stat")


def needed(size: tuple[int, int], format: str | None, mode: str) -> int:
    """Returns the bytes that decoding an image as a whole takes at most.

    Args:
        size: width and height, px.
        format: as Pillow calls it.
        mode: of `plain.CONVERSIONS`.
    """
    of_mode = _DEEP_BYTES if ";16" in mode else _ALPHA_BYTES if "A" in mode else _OTHER_BYTES
    each = _BYTES.get(str(format), of_mode)
    return size[0] * size[1] * each


def notes(size: tuple[int, int], format: str | None, mode: str) -> tuple[str, ...]:
    """Returns a note if decoding an image as a whole takes much memory."""
    if size[0] * size[1] <= MIN_PIXELS:
        return ()
    return (
        f"the image is decoded as a whole, which takes up to {_gb(needed(size, format, mode))} of memory, as its file "
        "has no parts that can be read alone; a tiled TIFF takes less",
    )


def check(path: Path, size: tuple[int, int], format: str | None, mode: str) -> None:
    """Raises DataError if less memory is available than decoding a large image takes."""
    if size[0] * size[1] <= MIN_PIXELS:
        return
    there, wanted = available(), needed(size, format, mode)
    if there is not None and there < wanted:
        raise DataError(
            f"{path}: decoding its {size[0]} x {size[1]} px as a whole takes up to {_gb(wanted)} of memory, and "
            f"{_gb(there)} are available. Save it as a tiled TIFF, which is read part by part, or use fewer --jobs."
        )


def available() -> int | None:
    """Returns the bytes of memory that can still be used, on Linux, within the container's limit; None if unknown."""
    there = _field(_MEMINFO, "MemAvailable:")
    at_most, used = limit(), _field(_USED, "anon")
    free = None if there is None else there * 1024
    left = None if at_most is None or used is None else max(0, at_most - used)
    known = [value for value in (free, left) if value is not None]
    return min(known) if known else None


def _field(path: Path, name: str) -> int | None:
    """Returns the number after a name at the start of a line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None


def limit() -> int | None:
    """Returns the container's limit on memory, bytes; None if there is none."""
    try:
        return int(_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not Linux, or the word `max`: no limit
        return None


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
