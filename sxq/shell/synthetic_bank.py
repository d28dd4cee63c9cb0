"""A synthetic bank: accounts, transfers, and two laundering schemes planted among them.

*Peel chain*: dirty money goes from hand to hand; every mule keeps a little and sends the rest on, until it reaches a
collector. *Spindle*: one source splits a sum among several mules, who all pay the same collector. Collectors look like
shops: many accounts pay them. Only their payers give them away, so a model must look at edges, and the true edges are
known. Some collectors are served by both schemes.

The columns of mules differ from those of honest accounts only on average; the columns of shops and collectors come
from one distribution.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

HONEST = 1200  # accounts
SHOPS = 150
COLLECTORS = 150
BOTH = 0.3  # share of collectors that chain and spindle serve
CHAIN = (3, 5)  # least and most hops of a chain
MULES = (3, 5)  # least and most mules of a spindle


@dataclass
class Bank:
    """Rows of the tables `accounts`, `transfers` and `planted`."""

    # account, days, volume, fees, label, role, split
    accounts: list[tuple] = field(default_factory=list)
    transfers: list[tuple] = field(default_factory=list)  # payer, payee, amount
    planted: list[tuple] = field(default_factory=list)  # scheme, kind, collector, payer, payee, hop


def generate(seed: int = 0) -> Bank:
    """The same bank for the same seed."""
    return _Builder(Random(seed)).bank


class _Builder:
    def __init__(self, random: Random):
        self.random = random
        self.bank = Bank()
        self.schemes = 0
        people = [self._account("honest") for _ in range(HONEST)]
        shops = [self._account("shop") for _ in range(SHOPS)]
        for person in people:
            for _ in range(random.randint(1, 3)):
                self._pay(
                    person,
                    random.choice(shops if random.random() < 0.6 else people),
                    random.uniform(5, 200),
                )
        for _ in range(COLLECTORS):
            self._collector(people)

    def _account(self, role: str) -> str:
        """A new account; a model sees its columns and nothing else of it."""
        random = self.random
        fresh = role in ("mule", "source")
        days = random.gauss(300 if fresh else 420, 130)
        volume = random.gauss(8.0 if role in ("shop", "collector") else 6.5, 1.0)
        fees = random.gauss(1.6 if fresh else 1.0, 0.45)
        name = f"acct-{len(self.bank.accounts) + 1}"
        split = random.choices(("train", "val", "test"), (6, 1, 3))[0]
        label = int(role in ("mule", "source", "collector"))
        self.bank.accounts.append(
            (name, round(days, 1), round(volume, 3), round(fees, 3), label, role, split)
        )
        return name

    def _pay(self, payer: str, payee: str, amount: float) -> None:
        if payer != payee:
            self.bank.transfers.append((payer, payee, round(amount, 2)))

    def _collector(self, people: list[str]) -> None:
        """A collector, with the shop's everyday payments in front of its schemes."""
        collector = self._account("collector")
        for person in self.random.sample(people, self.random.randint(1, 3)):
            self._pay(person, collector, self.random.uniform(5, 200))
        both = self.random.random() < BOTH
        for kind in ("chain", "spindle") if both else (self.random.choice(("chain", "spindle")),):
            self.schemes += 1
            for payer, payee, amount, hop in getattr(self, f"_{kind}")(collector):
                self._pay(payer, payee, amount)
                self.bank.planted.append((self.schemes, kind, collector, payer, payee, hop))

    def _chain(self, collector: str) -> Iterator[tuple]:
        """From the source to the collector, a little less at every hop."""
        hops = self.random.randint(*CHAIN)
        names = [
            self._account("source"),
            *(self._account("mule") for _ in range(hops - 1)),
            collector,
        ]
        amount = self.random.uniform(20_000, 60_000)
        for number, (payer, payee) in enumerate(zip(names, names[1:])):
            yield payer, payee, amount, hops - number
            amount *= self.random.uniform(0.85, 0.97)

    def _spindle(self, collector: str) -> Iterator[tuple]:
        """One source, several mules, one collector."""
        source = self._account("source")
        amount = self.random.uniform(20_000, 60_000)
        mules = [self._account("mule") for _ in range(self.random.randint(*MULES))]
        for mule in mules:
            yield source, mule, amount / len(mules), 2
            yield mule, collector, amount / len(mules) * 0.95, 1
