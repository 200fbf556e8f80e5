"""The detectors `frcnn`, `rpn` and `rpn-extracted` on MMDetection, without operators to compile."""

__version__ = "0.2.0"
