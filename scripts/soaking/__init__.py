"""The parts of `scripts/soak`.

`cases` says what can be tried, `planner` chooses, and `intents` says what the back end means to say; `speech` and `delivery`
make bytes of that, for the server in `backend`. `clients` asks through the proxy and `judging` compares what came with what was
meant. `phases` puts the calls together, `tally` counts. Both ends derive all from a case's text, which travels in the prompt.
"""
