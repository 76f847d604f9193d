"""What a checkpoint holds, read from headers and small files alone."""
