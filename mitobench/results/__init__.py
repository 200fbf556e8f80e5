"""Records: everything that is needed to trust, rebuild and compare one number."""
