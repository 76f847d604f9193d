"""Where checkpoints come from: repositories on the Hub and local directories."""
