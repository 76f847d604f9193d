"""The Hub's webhooks: which ones the manifests need, whether they are there, and a small server that receives them.

`watched` tells what to watch, `checking` compares it with the webhooks that exist; `delivery` judges what the Hub has
sent, `dispatching` collects it and starts the workflow on GitHub, `receiving` is the server around the two.
"""
