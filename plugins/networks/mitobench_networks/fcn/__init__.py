"""`fcn`: FCN-8s finds the blob that covers a centroid (paper: DeepSeg)."""
