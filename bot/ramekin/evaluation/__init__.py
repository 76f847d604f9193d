"""Task scores of a merge and its parents: measured by a harness or the user's program, kept, and held to a gate."""
