"""ramekin merges agents trained from one base model and publishes the result to the Hugging Face Hub."""

__version__ = "0.1.0"
