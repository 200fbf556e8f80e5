"""The detectors of Li et al. 2018: `frcnn` (DeepDet), `rpn` and `rpn-extracted`."""
