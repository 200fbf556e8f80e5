"""The largest size or count of everything that is read from untrusted files.

Each limit is far above what real work needs and far below what a machine can hold. `docs/security.md` lists them.
"""

from __future__ import annotations

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30

# Bytes of a file, by what it is.
MAX_CONFIG_BYTES = 1 * MB  # a profile, data set card, plugin card or experiment (TOML)
MAX_SPLIT_BYTES = 8 * MB  # a split (JSON), which may list the frames of a large data set
MAX_CARD_BYTES = 8 * MB  # the card of a packed model
MAX_RECORD_BYTES = 16 * MB  # a record without its detections
MAX_PACKED_BYTES = 64 * MB  # a record's detections, gzipped
MAX_DETECTIONS_BYTES = 256 * MB  # a record's detections, unpacked (CSV text)
MAX_DATABASE_BYTES = 2 * GB  # a SlideRunner database; read row by row
MAX_ANNOTATION_BYTES = 16 * MB  # the annotation of one frame
MAX_LABELS_BYTES = 256 * MB  # the labels of a whole data set (JSON, GeoJSON)
MAX_IMAGE_BYTES = 8 * GB  # an image file
MAX_WEIGHTS_BYTES = 16 * GB  # a file of weights
MAX_MODEL_BYTES = 4 * GB  # a downloaded model, packed and unpacked
MAX_FILE_CACHE_BYTES = 32 * MB  # the cache of the digests of files, which starts anew beyond it
MAX_STATE_BYTES = 8 * MB  # a JSON file that a stage or a plugin wrote next to its weights

# Counts.
MAX_ANNOTATIONS = 5_000_000  # annotations in a database of whole slides
MAX_DETECTIONS = 2_000_000  # rows of a detections file
MAX_FILES = 100_000  # files in a folder of detections
MAX_FILES_OF_MODEL = 1_000  # files of a downloaded model
MAX_PIXELS = 1 << 28  # of an image: 4 x 4 mm at 0.25 um/px. A larger file is a whole slide or a decompression bomb
MAX_SLIDE_PIXELS = 1 << 40  # of a whole slide, which is read by region only
MAX_PAGES = 4_096  # pages and stored resolutions of a TIFF
MAX_SEGMENTS = 1 << 24  # tiles or strips of a page of a TIFF
MAX_DESCRIPTION_BYTES = 4 * MB  # the description of a TIFF, such as OME-XML
MAX_NESTING = 64  # levels of lists and tables in JSON and TOML
MAX_DIGITS = 400  # characters of a number in JSON
MAX_INTEGER = (1 << 63) - 1  # the 64-bit integers that other programs read
MAX_SWEEP = 1_000  # settings of one sweep
MAX_SEEDS = 1_000  # seeds of one run
MAX_PROCESSES = 64  # processes that a fit is distributed over
MAX_THREADS = 1_024  # CPU threads of a stage
MAX_JOBS = 256  # stages that run at the same time
MAX_OPTION = 100_000_000  # an integer option of a plugin: iterations, sides, counts
MAX_SEED = (1 << 32) - 1  # the largest seed that numpy accepts

# Numbers in a record's detections. What a plugin returns has the same limits, or its record could not be read.
MAX_NUMBER = 1e9  # absolute value of a score or a distance
MAX_PX = 1e6  # absolute value of a coordinate: a whole slide is smaller

# Characters of an untrusted text in one message.
MAX_SHOWN = 2_000
