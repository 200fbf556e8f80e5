"""Fusers: one score out of the detector's and the verifier's."""
