"""What all networks of MMDetection share: operators, training patches with boxes, training and the search of a frame."""
