"""The largest size or count of everything that is read from a file of foreign origin.

Each is far above what real work needs and far below what fills a machine. `docs/security.md` lists them.
"""

from __future__ import annotations

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30

# Bytes of a file, by what it is.
MAX_CONFIG_BYTES = 1 * MB  # a profile, data set card, plugin card or experiment (TOML)
MAX_SPLIT_BYTES = 8 * MB  # a split (JSON): it may list the frames of a large data set
MAX_CARD_BYTES = 8 * MB  # the card of a packed model
MAX_RECORD_BYTES = 16 * MB  # a record without its detections
MAX_PACKED_BYTES = 64 * MB  # a record's detections as they are stored, gzipped
MAX_DETECTIONS_BYTES = 256 * MB  # detections as text, unpacked
MAX_ANNOTATION_BYTES = 16 * MB  # the annotation of one frame
MAX_IMAGE_BYTES = 8 * GB  # an image file as it is stored
MAX_WEIGHTS_BYTES = 16 * GB  # a file of weights
MAX_STATE_BYTES = 8 * MB  # a JSON file that a stage or a plugin wrote beside its weights

# Counts.
MAX_DETECTIONS = 2_000_000  # rows of a detections file
MAX_PIXELS = 1 << 28  # of an image: 4 by 4 mm at 0.25 um/px; beyond that a file is a whole slide, or a bomb
MAX_NESTING = 64  # levels of lists and tables in JSON and TOML
MAX_DIGITS = 400  # characters of a number in JSON
MAX_INTEGER = (1 << 63) - 1  # what other programs read a whole number into
MAX_SEEDS = 1_000  # of one run
MAX_PROCESSES = 64  # that a fit is distributed over
MAX_JOBS = 256  # stages done at once
MAX_OPTION = 100_000_000  # a whole number among a plugin's options: iterations, sides, counts
MAX_SEED = (1 << 32) - 1  # what numpy takes

# Characters of a text of foreign origin in one message.
MAX_SHOWN = 2_000
