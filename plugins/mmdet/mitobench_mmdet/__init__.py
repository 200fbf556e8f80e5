"""Detectors of mitobench on MMDetection: `frcnn`, `rpn` and `rpn-extracted`, with no operator to compile."""

__version__ = "0.2.0"
