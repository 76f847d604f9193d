"""ARM: merging agents by what their neurons do in a role (Agent-Role Merging, arXiv 2601.07309)."""
