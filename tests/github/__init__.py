"""A loopback GitHub for tests: real enough for GitHub's unmodified clients, and for `act`.

`loopback.serve` starts one; `world.World` is what it holds and what people do there, `events` makes the payloads of
webhooks, `acting` runs workflows.
"""
