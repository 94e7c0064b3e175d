"""HTTP without the meaning of any API: messages, the context of a request, connections, forwarding, shutdown."""
