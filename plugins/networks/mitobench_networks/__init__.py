"""Networks of torchvision and timm for mitobench: verifiers, and the estimator `fcn`."""
