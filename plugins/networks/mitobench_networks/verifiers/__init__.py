"""Networks that look at a patch around every candidate (paper: DeepVer)."""
