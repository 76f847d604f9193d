"""What a merge would do, known before any weight is read."""
