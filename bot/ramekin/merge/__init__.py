"""The merge itself: weights streamed through the methods' loops."""
