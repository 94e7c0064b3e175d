"""The parts of `scripts/compat`: which clients work with the proxy.

* `environments`: the clients, their locked dependencies, and the environments in which they run.
* `scenarios/`: what each client is made to do; these run inside the environments and import nothing from here.
* `stage`: the proxy with a scripted server behind it.
* `playing`: every scenario of every environment, in both modes.
* `matrix`: what came of it as tables, with the reasons of `reasons.toml` for what does not work.
* `page`: the tables in `docs/compatibility.md`.
"""
