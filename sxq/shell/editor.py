"""The prompt: statements of several lines with history, colours and completion (prompt_toolkit).

Enter runs a complete statement (with its `;`) or a dot-command; otherwise it starts a new line (Alt-Enter always
does). Ctrl-R searches the history, Ctrl-C clears what was typed, Ctrl-D leaves, Ctrl-X Ctrl-E opens an editor.
"""

import importlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import completion_is_selected, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.styles import Style

from sxq.connection import Connection
from sxq.language import complete
from sxq.session.vocabulary import Vocabulary
from sxq.shell.completion import suggest
from sxq.shell.dot_commands import COMMANDS
from sxq.shell.highlighting import STYLE, lexer
from sxq.shell.script_steps import is_dot_command

NEEDS_ENGINE = (
    "EXPLAIN",
    "PROFILE",
    "RESUME",
    "REFRESH",
    "ALTER",
    "PLAN",
    "TRAIN",
    "PRETRAIN",
    "CREATE",
    "AUDIT",
    "PREDICT",
)


class Editor:
    """Reads one input after the other; `read` raises EOFError for Ctrl-D and KeyboardInterrupt for Ctrl-C."""

    def __init__(self, connection: Callable[[], Connection], history: str | None):
        self._completer = _Names(connection)
        self._prompt: PromptSession[str] = PromptSession(
            history=_history(history),
            lexer=PygmentsLexer(lexer()),
            completer=self._completer,
            complete_while_typing=True,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=lambda width, number, wraps: [
                ("class:more", "     " if wraps else "...> ")
            ],
            style=Style.from_dict({**STYLE, "prompt": "#00afaf bold", "more": "#808080"}),
            enable_open_in_editor=not connection().rights.untrusted,
            editing_mode=EditingMode.EMACS,
            reserve_space_for_menu=6,
        )

    def read(self) -> str:
        """One finished input."""
        self._completer.forget()
        text = self._prompt.prompt(FormattedText([("class:prompt", "sxq> ")]))
        self._completer.wait_for_import()
        return text


def finished(text: str) -> bool:
    """Whether Enter runs the text: nothing, a dot-command, or statements up to a `;`."""
    return not text.strip() or is_dot_command(text) or complete(text)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus("DEFAULT_BUFFER") & ~completion_is_selected)
    def _(event):
        buffer = event.current_buffer
        if finished(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)

    @keys.add("enter", filter=has_focus("DEFAULT_BUFFER") & completion_is_selected)
    def _(event):
        event.current_buffer.complete_state = None  # take what is selected, and go on typing

    @keys.add("escape", "enter")
    def _(event):
        event.current_buffer.newline()

    return keys


def _history(path: str | None):
    if not path:
        return InMemoryHistory()
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8"):
            os.chmod(path, 0o600)
    except OSError:
        return InMemoryHistory()  # a home that cannot be written to
    return FileHistory(path)


class _Names(Completer):
    """Completion from the grammar and the catalog as they were when the prompt appeared."""

    def __init__(self, connection: Callable[[], Connection]):
        self._connection = connection
        self._known: Vocabulary | None = None
        self._importing: threading.Thread | None = None

    def forget(self) -> None:
        """Drop the known names: a statement may have created new ones."""
        self._known = None

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if text.lstrip()[:8].upper().startswith(NEEDS_ENGINE):
            self._import_engine()
        typed, found = suggest(
            text, self._vocabulary(), tuple(COMMANDS), document.text_after_cursor
        )
        if not typed and not event.completion_requested:
            return  # a menu after every blank would be in the way
        for word in found:
            yield Completion(word, start_position=-len(typed))

    def _vocabulary(self) -> Vocabulary:
        if self._known is None:
            self._known = self._connection().vocabulary()
        return self._known

    def _import_engine(self) -> None:
        """Import the engine while the statement is still being typed: the first one starts that much sooner.

        Measured on 2 cores: the import takes 6 s, and completing a word takes 5 ms at most meanwhile.
        """
        if self._importing is None:
            self._importing = threading.Thread(
                target=importlib.import_module, args=("sxq.execution",)
            )
            self._importing.start()

    def wait_for_import(self) -> None:
        """Wait until the engine is imported: two threads cannot import parts of one library at once."""
        if self._importing is not None:
            self._importing.join()
