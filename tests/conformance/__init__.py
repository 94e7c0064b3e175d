"""The recorded exchanges of a real Ollama, replayed against a running proxy, and what differs.

* `recording`: the file format, requests and replies.
* `replay`: sends the requests of a recording to a server, in their order.
* `compare`: what differs between two replies, by rules that say which values are free. Pure.
* `listing`: the differences that `docs/compatibility.md` names, against those that were found.
* `backend`: the OpenAI-compatible server that plays the two models of the recordings.
* `stage`: that server and the proxy in front of it, as processes.

`scripts/conformance` is the command for it.
"""
