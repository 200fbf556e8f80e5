"""Verifiers: networks that classify a patch around every candidate (DeepVer in the paper)."""
