"""Publishing: what the Hub holds now, and the one commit that changes it."""
