"""OpenAI's Responses API from a back end that has only chat completions, as pure functions and a state machine.

A request goes `ResponsesRequest` → `chat_parameters` → the SDK's arguments; the answer's `Delta`s go through a
`ResponseWriter`, which gives the events of a stream and the whole `Response`. Nothing is kept between requests.
"""
