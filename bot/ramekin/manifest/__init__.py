"""The merge manifest: read with all its problems, and as data."""
