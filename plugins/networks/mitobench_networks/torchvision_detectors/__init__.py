"""`torchvision:NAME`: torchvision's box detectors."""
