"""`spec-mcp demo`: an agent at a shop's customer service, first without and then with speculation.

cases   who writes to the shop, and what they want: drawn by seed
agent   what the agent thinks and calls, one step at a time; pure, so that both runs do exactly the same
runner  carries the steps out against a server process, directly or through `spec-mcp wrap`
view    the timeline on the terminal
report  what the two runs have in common, and what speculation saved
show    the two runs, one after the other
command options and exit status
"""
