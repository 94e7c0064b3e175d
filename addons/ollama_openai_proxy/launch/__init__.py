"""`ollama-openai-proxy launch`: runs coding agents and other programs with the proxy as their server.

`programs` is the one table of programs, `setups` makes the configuration of each, `command_lines` and `printing` make what is
run and what is shown; these modules are pure. `asking` asks the proxy, `running` runs the program, and `command` is the
sub-command of the console command. docs/clients.md is generated from the table.
"""
