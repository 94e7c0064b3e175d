"""The parts of `scripts/agents`: real coding agents with a scripted model behind the proxy.

* `agents`: the programs, their locked packages, and what each is told for a scenario.
* `loopback`: shuts this process and its children off from all networks but loopback.
* `stage`: the model, the proxy and runs of one program, each in an empty home.
* `scenarios`, `task_scenarios`, `failure_scenarios`: what is tried.
* `results`: the table of `docs/clients.md`, with the reasons of `reasons.toml` for what does not work.
"""
