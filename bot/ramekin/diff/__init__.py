"""Two merges side by side: `ramekin diff`."""
