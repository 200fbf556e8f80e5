"""What all networks of MMDetection share: operators, patches with boxes, training and the search of a frame."""
