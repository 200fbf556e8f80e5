"""The box estimator `fcn`: FCN-8s segments the blob at a centroid (DeepSeg in the paper)."""
