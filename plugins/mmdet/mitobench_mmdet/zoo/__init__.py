"""The family `mmdet:CONFIG`: any box detector of MMDetection by the name of its config."""
