"""`heatmap:ENCODER`: a map of where mitoses are, from a U-Net on any encoder of timm."""
