"""The parts of `scripts/servers`: what real OpenAI-compatible servers do behind the proxy.

* `programs`: the servers, their locked dependencies, and the commands that start them.
* `checkpoint`: the demo model in the form that PyTorch's servers read.
* `running`: a server as a process, and how to know that it answers.
* `relay`: a connection between the proxy and the server that can be held, to see what happens in the middle of an answer.
* `stage`: a server, the relay, and the proxy in front of them, with the official SDKs.
* `scenarios`, `chat_scenarios`, `tool_scenarios`, `embedding_scenarios`, `failure_scenarios`: what is tried.
* `results`: what came of the scenarios, with the reasons of `reasons.toml` for what a server cannot do.
"""
