"""Which tokens of a trajectory are spoken in a role (arXiv 2601.07309, section 3 and appendix B)."""
