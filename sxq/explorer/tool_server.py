"""`sxq mcp`: the tools over stdin and stdout, by the Model Context Protocol."""

from collections.abc import Callable
from functools import wraps

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from sxq.errors import Error
from sxq.explorer.tools import Tools

ABOUT = (
    "sxq explains the predictions of graph neural networks by skylines of subgraphs. The answers are stored in a "
    "database: look at list_graphs, list_models and query (SHOW QUERIES), then at single explanations. Name the "
    "explanation_id of what you report; its audit figures say how exact the stored values are."
)


def serve_tools(path: str, write: bool = False) -> int:
    """Serve the tools until stdin ends; raises StoreError where the database cannot be opened."""
    tools = Tools(path, write)
    try:
        tool_server(tools).run("stdio")
        return 0
    finally:
        tools.close()


def tool_server(tools: Tools) -> MCPServer:
    """The server, with a tool for each function; `explain` only where it may write."""
    server = MCPServer("sxq", instructions=ABOUT, log_level="ERROR")
    functions: list[Callable[..., str]] = [
        *(tools.list_graphs, tools.list_models, tools.plan, tools.query, tools.explanation),
        *([tools.explain] if tools.answers.write else []),
    ]
    for function in functions:
        server.tool(structured_output=False)(_with_messages(function))
    return server


def _with_messages(function: Callable[..., str]) -> Callable[..., str]:
    """A tool whose errors reach the client as their messages."""

    @wraps(function)
    def tool(*arguments, **options):
        try:
            return function(*arguments, **options)
        except Error as error:
            raise ToolError(str(error)) from None

    return tool
