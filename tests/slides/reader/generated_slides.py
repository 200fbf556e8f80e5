"""Small slides as scanners write them: a tiled TIFF of Aperio's kind, and DICOM slides of several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

RGB = NDArray[np.uint8]

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
TILE = 64


def write_svs(path: Path, pixels: RGB, mpp: float | str, **tags: Any) -> Path:
    """Writes a pyramid with thumbnail, label and macro image; without loss, so that pixels can be compared."""
    height, width = pixels.shape[:2]
    about = "Aperio Image Library v12.0.0\r\n"
    plain: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        size = f"{width}x{height} [0,0 {width}x{height}]"
        text = f"{about}{size} ({TILE}x{TILE})|AppMag = 40|MPP = {mpp}"
        tiff.write(pixels, description=text, tile=(TILE, TILE), **plain, **tags)
        tiff.write(pixels[::4, ::4], description=f"{about}{size} -> thumbnail", **plain)
        small = f"{about}{size} ({TILE}x{TILE}) -> {width // 4}x{height // 4}"
        tiff.write(pixels[::4, ::4], description=small, tile=(TILE, TILE), **plain)
        tiff.write(np.full((30, 40, 3), 90, np.uint8), description=f"{about}label 40x30", subfiletype=1, **plain)
        tiff.write(np.full((40, 90, 3), 50, np.uint8), description=f"{about}macro 90x40", subfiletype=9, **plain)
    return path


def write_dicom_slide(folder: Path, pixels: RGB, mpp: float) -> Path:
    """Writes a slide of two resolutions, its label and its overview. Returns the file of the full resolution."""
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    ids = {name: generate_uid() for name in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")}
    label = np.full((40, 60, 3), 200, np.uint8)
    files: list[tuple[str, RGB, str, float]] = [
        ("b-full.dcm", pixels, "VOLUME", mpp),
        ("a-small.dcm", np.ascontiguousarray(pixels[::4, ::4]), "VOLUME", 4 * mpp),
        ("label.dcm", label, "LABEL", 10.0),
        ("overview.dcm", label, "OVERVIEW", 10.0),
    ]
    for name, image, kind, own in files:
        _write_dicom(folder / name, image, kind, own, ids)
    return folder / "b-full.dcm"


def _write_dicom(path: Path, pixels: RGB, kind: str, mpp: float, ids: dict[str, str]) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    height, width = pixels.shape[:2]
    side = (TILE, TILE) if kind == "VOLUME" else (height, width)
    down, across = -(-height // side[0]), -(-width // side[1])
    padded = np.full((down * side[0], across * side[1], 3), 255, np.uint8)
    padded[:height, :width] = pixels
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = WHOLE_SLIDE
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        **ids,
        "Modality": "SM",
        "ImageType": ["ORIGINAL" if mpp < 1 else "DERIVED", "PRIMARY", kind, "NONE" if mpp < 1 else "RESAMPLED"],
        "Rows": side[0],
        "Columns": side[1],
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "TotalPixelMatrixColumns": width,
        "TotalPixelMatrixRows": height,
        "TotalPixelMatrixFocalPlanes": 1,
        "NumberOfOpticalPaths": 1,
        "NumberOfFrames": down * across,
        "DimensionOrganizationType": "TILED_FULL",
        "SpecimenLabelInImage": "YES" if kind == "LABEL" else "NO",
        "ImagedVolumeWidth": width * mpp / 1000,
        "ImagedVolumeHeight": height * mpp / 1000,
        "OpticalPathSequence": [_item(OpticalPathIdentifier="1")],
        "TotalPixelMatrixOriginSequence": [
            _item(XOffsetInSlideCoordinateSystem=0, YOffsetInSlideCoordinateSystem=0),
        ],
        "SharedFunctionalGroupsSequence": [
            _item(PixelMeasuresSequence=[_item(PixelSpacing=[mpp / 1000, mpp / 1000], SliceThickness=0.001)])
        ],
    }
    for name, value in values.items():
        setattr(file, name, value)
    tiles = padded.reshape(down, side[0], across, side[1], 3).transpose(0, 2, 1, 3, 4)
    file.add_new("PixelData", "OB", tiles.tobytes())
    file.save_as(path, enforce_file_format=True)


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item
