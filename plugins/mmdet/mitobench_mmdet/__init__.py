"""The family `mmdet:CONFIG` and the detectors `frcnn`, `rpn` and `rpn-extracted`, without operators to compile."""

__version__ = "0.2.0"
