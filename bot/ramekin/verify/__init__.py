"""Verifying a merge: its files by their digests, and on request its weights, its signature, and whether it runs."""
