"""OpenAI's Responses API from a back end that has only chat completions, as pure functions.

A request goes `ResponsesRequest` → `chat_parameters` → the SDK's arguments. Nothing is kept between requests.
"""
