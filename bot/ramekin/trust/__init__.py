"""Trusted publishing: a job proves who it is, and gets a token of the Hub for an hour and one purpose.

identity (the ID token, and what it says of the job) -> exchange (for a token of the Hub) -> bearers (who sends which)
"""
