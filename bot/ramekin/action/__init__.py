"""The second door: ramekin as a step of GitHub Actions. It plans pull requests, runs after merges, keeps locks fresh.

`action.yml` starts `python -P -m ramekin.action`. A job is read once (`settings`, `event`), carried out by one of four
modules (`planning`, `running`, `updating`, `commands`), and told to the runner in one place (`entry`). What the bot
remembers is in pull requests, locks and on the Hub, never in a file of the runner.
"""
