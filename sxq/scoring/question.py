"""The question of a target: which of the model's outputs is explained, and when it counts as kept.

A model answers with *values* [n, C]: the probabilities of classes (multiclass, binary), of each
label for itself (multilabel), or numbers in spreads (regression). A question reads them:

    p         how far the model gives the answer that it gives on the whole graph, [n]
    kept      whether it gives that answer, [n] bool
    tie       whether it could give the other answer as well, [n] bool

    task, clauses                 p                     kept
    multiclass, binary            p(c)                  argmax = c
    ... FOR CLASS c               p(c)                  argmax = c, as on G
    ... AGAINST d                 p(c) / (p(c) + p(d))  c is preferred to d, as on G
    multilabel                    p(c)                  p(c) > 1/2, as on G
    regression                    y / spread            within `tolerance` of that on G

Where the model does not say c on G ("why not c?"), p is 1 minus that. So p is always the probability
of the model's own answer on G, all measures keep their formulas, and a larger fdl+ means nearer to a
flip. What is stored as a target's probability is not turned.
"""

from dataclasses import dataclass, replace

import numpy as np

TASKS = ("multiclass", "binary", "multilabel", "regression")
TOLERANCE = 0.25  # spreads by which a number may change and still count as kept
ODDS = 4.0  # log-odds by which a search takes a change of one spread


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about one target."""

    column: int  # c: the class, label or number that is explained
    task: str = "multiclass"  # one of TASKS
    against: int | None = None  # d, of AGAINST
    chosen: bool = False  # whether c was named by FOR CLASS
    says: bool = True  # whether the model says c on G (of AGAINST: prefers it)
    full: float = 0.0  # of regression: the number on G, in spreads
    tolerance: float = TOLERANCE  # of regression, in spreads
    falls: bool = True  # of regression: whether the number is no larger without any candidate unit

    @property
    def numeric(self) -> bool:
        """Whether p is a number in spreads, not a probability."""
        return self.task == "regression"

    @property
    def plain(self) -> bool:
        """Whether it asks for the predicted class of several, as a statement without clauses does."""
        exclusive = self.task in ("multiclass", "binary")
        return exclusive and self.against is None and not self.chosen

    @property
    def favoured(self) -> int:
        """The class that the answer on G speaks for: d where it is preferred to c, else c."""
        return self.column if self.says or self.against is None else self.against

    def of_class(self, values: np.ndarray) -> np.ndarray:
        """The probability of c [n], as it is stored; of regression the number in spreads."""
        own = values[:, self.column]
        if self.against is None:
            return own
        total = own + values[:, self.against]
        # Where both are impossible neither is preferred.
        return np.divide(own, total, out=np.full(len(own), 0.5), where=total > 0)

    def p(self, values: np.ndarray) -> np.ndarray:
        """The probability [n] of the answer that the model gives on G; of regression the number."""
        own = self.of_class(values)
        return own if self.says or self.numeric else 1 - own

    def said(self, values: np.ndarray) -> np.ndarray:
        """The model's answers [n]: a class, whether c is said, or a number."""
        if self.plain:
            return values.argmax(axis=1)
        if self.numeric:
            return values[:, self.column]
        if self.against is not None:
            own, other = values[:, self.column], values[:, self.against]
            # Of equal ones the first, as argmax takes it.
            return own >= other if self.column < self.against else own > other
        if self.task == "multilabel":
            return values[:, self.column] > 0.5
        return values.argmax(axis=1) == self.column

    def same(self, one: np.ndarray, other: np.ndarray | float) -> np.ndarray:
        """Whether two answers of `said` are the same, [n] bool."""
        return np.abs(one - other) <= self.tolerance if self.numeric else one == other

    def kept(self, values: np.ndarray) -> np.ndarray:
        """Whether the answer is that on G, [n] bool."""
        on_graph = self.column if self.plain else self.full if self.numeric else self.says
        return self.same(self.said(values), on_graph)

    def tie(self, values: np.ndarray, margin: float) -> np.ndarray:
        """Whether less than `margin` separates the answer from the other one, [n] bool."""
        if self.plain:
            return (values > values.max(axis=1, keepdims=True) - margin).sum(axis=1) > 1
        if self.numeric:
            apart = np.abs(values[:, self.column] - self.full)
            return np.abs(apart - self.tolerance) < margin
        if self.against is not None or self.task == "multilabel":
            return np.abs(2 * self.of_class(values) - 1) < margin
        others = np.delete(values, self.column, axis=1).max(axis=1)
        return np.abs(values[:, self.column] - others) < margin

    def as_share(self, p: np.ndarray) -> np.ndarray:
        """p as a search takes it, between 0 and 1; a number by how far it is from that on G."""
        if not self.numeric:
            return p
        rise = p - self.full if self.falls else self.full - p
        return 1 / (1 + np.exp(-np.clip(ODDS * rise, -40, 40)))

    def from_share(self, share: np.ndarray) -> np.ndarray:
        """The p of `as_share`."""
        if not self.numeric:
            return share
        with np.errstate(divide="ignore"):
            rise = (np.log(share) - np.log1p(-share)) / ODDS
        return self.full + (rise if self.falls else -rise)


def ask(
    values: np.ndarray,
    task: str = "multiclass",
    *,
    column: int | None = None,
    against: int | None = None,
    tolerance: float = TOLERANCE,
) -> Question:
    """The question of a target whose values [C] on the whole graph are given.

    Without a `column` it is the predicted class, or the most probable label; of AGAINST d, the most
    probable other than d.
    """
    chosen = column is not None
    if column is None:
        others = np.array(values, float)
        if against is not None:
            others[against] = -np.inf
        column = 0 if task == "regression" else int(others.argmax())
    question = Question(
        column=column, task=task, against=against, chosen=chosen, tolerance=tolerance
    )
    if question.numeric:
        return replace(question, full=float(values[column]))
    if question.plain:
        return question
    return replace(question, says=bool(question.said(values[None])[0]))
