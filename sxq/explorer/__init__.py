"""Stored answers for a browser and for programs: `sxq explore` serves pages, `sxq mcp` serves tools.

answers       `Answers`: what pages and tools show of a database, as plain values
questions     the usual questions in SQL, for a query
audit_figures what AUDIT measures of the explanations that an answer names
running       `RunningExplain`: an EXPLAIN in a thread of its own, its progress as events
guard         refuses other hosts and origins, and requests without the token
site          the pages and their routes; the only file that knows starlette
serve         `sxq explore`; the only file that knows uvicorn
tools         the tools of `sxq mcp`, as plain functions
tool_server   `sxq mcp`; the only file that knows mcp
explorer.js, explorer.css, shell.html   the pages; a target's page is that of the report

Nothing imports this room but the command line, when it is asked for.
"""
