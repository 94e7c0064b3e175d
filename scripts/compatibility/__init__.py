"""The parts of `scripts/compat`: which clients work with the proxy.

* `environments`: the clients, their locked packages, and the environments in which they run.
* `scenarios/`: what each client is made to do; these run inside the environments and import nothing from here.
* `stage`: the proxy with a scripted server behind it.
* `playing`: the scenarios of a client, played in both modes.
* `results`: the tables of `docs/compatibility.md`, with the reasons of `reasons.toml` for what does not work.
"""
