"""Names of images in annotations and detections, which may have folders of another machine before them."""

from __future__ import annotations


def path_tails(name: str, in_folders: bool) -> list[str]:
    """Returns what a name may mean, the best first: `x/s1/a.png` is that, or `s1/a.png` or `a.png`.

    `in_folders`: whether some images of the data set lie in folders. Then `a.png` is left out: `x/s1/a.png` is not an
    image of the same file name in another folder, or in none.
    """
    parts = name.replace("\\", "/").removeprefix("./").split("/")
    found = ["/".join(parts[start:]) for start in range(len(parts))]
    return found[:-1] if in_folders and len(found) > 1 else found
