"""New pins of sources that have moved, proposed: one pull request for each manifest, kept in place.

What is looked at comes first (`branch`, `cooldown`), then what follows from it as a list of operations (`deciding`),
and last of all they are carried out (`operations`), in an order in which a job may be killed anywhere: the next one
finds what is there and does the rest. What has to be remembered (`state`) stands in the pull request, or in the message
of the branch's commit as long as there is none.
"""
