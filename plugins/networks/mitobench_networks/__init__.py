"""Plugins with networks of torchvision and timm: the verifiers, and the box estimator `fcn`."""
