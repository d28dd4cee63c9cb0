"""A synthetic bank: accounts, merchants and devices, and two laundering schemes planted among them.

*Peel chain*: dirty money goes from hand to hand; every mule keeps a little and sends the rest on, until it reaches a
collector. *Spindle*: one source splits a sum among several mules, who all pay the same collector. Some collectors are
served by both. A collector looks like an honest account: it shops, it has a device, friends pay it. Only its payers
give it away, so a model must look at edges, and the true edges are known.

The columns of mules and sources differ from those of honest accounts only on average. Merchants, devices and hours are
noise.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

HONEST = 900  # accounts
MERCHANTS = 60
DEVICES = 500
COLLECTORS = 120
BOTH = 0.3  # share of collectors that chain and spindle serve
CHAIN = (3, 4)  # least and most hops of a chain
MULES = (2, 4)  # least and most mules of a spindle


@dataclass
class Bank:
    """Rows of the tables of the same names."""

    # account, days, volume, fees, label, role, split
    accounts: list[tuple] = field(default_factory=list)
    merchants: list[tuple] = field(default_factory=list)  # merchant, turnover
    devices: list[tuple] = field(default_factory=list)  # device, age
    transfers: list[tuple] = field(default_factory=list)  # payer, payee, amount, hour
    purchases: list[tuple] = field(default_factory=list)  # account, merchant, amount
    logins: list[tuple] = field(default_factory=list)  # account, device
    planted: list[tuple] = field(default_factory=list)  # scheme, kind, collector, payer, payee, hop


def generate(seed: int = 0) -> Bank:
    """The same bank for the same seed."""
    return _Builder(Random(seed)).bank


class _Builder:
    def __init__(self, random: Random):
        self.random = random
        self.bank = Bank()
        self.schemes = 0
        for number in range(MERCHANTS):
            self.bank.merchants.append((f"shop-{number + 1}", round(random.gauss(5, 1), 2)))
        for number in range(DEVICES):
            self.bank.devices.append((f"device-{number + 1}", round(random.uniform(0, 6), 2)))
        people = [self._account("honest") for _ in range(HONEST)]
        for person in people:
            self._live(person, random.sample(people, random.randint(1, 3)))
        for _ in range(COLLECTORS):
            self._collector(people)

    def _account(self, role: str) -> str:
        """A new account; a model sees its columns and nothing else of it."""
        random = self.random
        fresh = role in ("mule", "source")
        days = random.gauss(240 if fresh else 420, 90)
        volume = random.gauss(6.8, 1.0)
        fees = random.gauss(1.8 if fresh else 1.0, 0.35)
        name = f"acct-{len(self.bank.accounts) + 1}"
        split = random.choices(("train", "val", "test"), (6, 1, 3))[0]
        label = int(role in ("mule", "source", "collector"))
        self.bank.accounts.append(
            (name, round(days, 1), round(volume, 3), round(fees, 3), label, role, split)
        )
        return name

    def _live(self, account: str, payers: Iterable[str]) -> None:
        """The everyday life of an account: others pay it, it shops, it logs in."""
        random = self.random
        for payer in payers:
            self._pay(payer, account, random.uniform(5, 900))
        for merchant, _ in random.sample(self.bank.merchants, random.randint(2, 5)):
            self.bank.purchases.append((account, merchant, round(random.uniform(5, 200), 2)))
        self.bank.logins.append((account, random.choice(self.bank.devices)[0]))

    def _pay(self, payer: str, payee: str, amount: float) -> None:
        if payer != payee:
            hour = self.random.randrange(24)
            self.bank.transfers.append((payer, payee, round(amount, 2), hour))

    def _collector(self, people: list[str]) -> None:
        """A collector, its everyday life, and the schemes that serve it."""
        random = self.random
        collector = self._account("collector")
        self._live(collector, random.sample(people, random.randint(1, 4)))
        both = random.random() < BOTH
        for kind in ("chain", "spindle") if both else (random.choice(("chain", "spindle")),):
            self.schemes += 1
            helpers: set[str] = set()
            for payer, payee, amount, hop in getattr(self, f"_{kind}")(collector):
                self._pay(payer, payee, amount)
                self.bank.planted.append((self.schemes, kind, collector, payer, payee, hop))
                helpers.update((payer, payee))
            for helper in sorted(helpers - {collector}):
                self._live(helper, random.sample(people, random.randint(1, 3)))

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
