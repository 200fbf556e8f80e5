"""Plugins with networks of torchvision and timm: verifiers, the box estimator `fcn`, and families of detectors."""
