"""Signed statements about a merge, in the form of OpenSSF Model Signing: who vouches for its key, lock and files."""
