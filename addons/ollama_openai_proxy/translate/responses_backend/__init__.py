"""Reaches models that have OpenAI's Responses and no chat completions: chat completions become calls of `/v1/responses`.

A call is made as a chat completion first, as for any server, and translated last, so that all client APIs, options and lessons
work alike. The answer is read as neutral events.
"""
