"""GitHub, as far as the Action and the webhook need it: one repository, through PyGithub, with errors of our own.

PyGithub takes half a second to import: `access`, `records` and `refusals` do without it.
"""
