"""What `.help WORD` says of a word: as a keyword, a measure, a generator, an option or a setting; of all that it is."""

from sxq.connection import Connection
from sxq.language import keywords
from sxq.language.manual import about
from sxq.session.option_help import option_names, options_named, setting_named


def topics(con: Connection, word: str) -> list[str]:
    """A text for each thing that bears this name; none if there is nothing."""
    texts = [
        about(word),
        *_measure(con, word),
        *_generator(con, word),
        *options_named(word),
        *_setting(con, word),
    ]
    return [text for text in texts if text]


def known_topics(con: Connection) -> list[str]:
    """Every word that `topics` has a text for, in lower case."""
    names = con.vocabulary()
    return [
        *sorted(map(str.lower, keywords())),
        *names.measures,
        *names.generators,
        *option_names(),
        *names.settings,
    ]


def _measure(con: Connection, word: str) -> list[str]:
    return [
        f"measure {name} (column {column}), {better} is better: {formula}"
        f"{f'; {cost}' if cost else ''}\n    {source}"
        for name, column, better, formula, source, cost in con.execute("SHOW MEASURES").rows
        if word.lower() in (name.lower(), column.lower())
    ]


def _generator(con: Connection, word: str) -> list[str]:
    """The generator of this name, and the generators that have an option of this name."""
    rows = con.execute("SHOW GENERATORS").rows
    texts = [
        f"generator {name}, over {over}{' (a default)' if default else ''}: {summary}"
        f"{f'{chr(10)}    BY {name} ({options})' if options else ''}"
        for name, options, over, default, summary in rows
        if name.lower() == word.lower()
    ]
    having = [
        name
        for name, options in con.vocabulary().generators.items()
        if word.lower() in (option.lower() for option in options)
    ]
    if having:
        texts.append(
            f"{word.lower()}, option of {_listed(having)}: BY {having[0]} ({word.lower()} = ...)"
        )
    return texts


def _listed(names: list[str]) -> str:
    noun = "the generator" if len(names) == 1 else "the generators"
    return f"{noun} {', '.join(names)}"


def _setting(con: Connection, word: str) -> list[str]:
    found = setting_named(word)
    if found is None:
        return []
    name, setting = found
    now = con.session.settings.written[name]
    said = (
        f"now {now}, by default {setting.default}"
        if now != setting.default
        else f"{now} by default"
    )
    return [f"setting {name}: {setting.meaning}\n    takes {setting.legal}; {said}"]
