"""The model card: what a merge did, for people and for the Hub."""
