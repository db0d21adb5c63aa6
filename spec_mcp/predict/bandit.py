"""Which speculators are worth a question now, and how many guesses are worth having.

Each speculator is an arm in each situation: what it would be asked about, and after which tool. The reward of a
question is the waiting that its guesses hid, or would have hidden, beyond what history and the cheaper speculators
foretold, less what its wasted calls were worth, in seconds; its price is weighed against that at
`price_per_hour_saved`. Giving each speculator only what it adds to those before it makes asking several at once a
greedy maximization of a submodular gain under costs (Streeter and Golovin, "An online algorithm for maximizing
submodular functions", NIPS 2008).

An arm is judged by an index: its mean and what it may be better than that after so many questions. UCB-E (Audibert,
Bubeck and Munos, "Best arm identification in multi-armed bandits", COLT 2010) keeps the exploration rate fixed, as
here; the bonus itself is that of UCB-V (Audibert, Munos and Szepesvári, "Exploration-exploitation tradeoff using
variance estimates in multi-armed bandits", Theoretical Computer Science 410, 2009), since an arm that never earns
anything has no variance, and is given up the sooner. Two differences: the range of a reward need not be guessed, as how
much waiting could have been hidden that history did not hide is seen after every turn, whether anybody was asked or
not, and no index exceeds it; and the n of an arm that is not asked shrinks with every turn, as in discounted UCB
(Garivier and Moulines, "On upper-confidence bound policies for switching bandit problems", ALT 2011): one that did not
pay is tried again now and then. Choosing by what happened to this user after this tool, rather than once for all, is
AgentOpt's idea. A purse bounds it all: see `Purse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf, sqrt

from spec_mcp.engine.calls import Json
from spec_mcp.engine.policy import Settings
from spec_mcp.predict.counts import Counts, Key, sums_of
from spec_mcp.predict.guessing import About, Answered, Ending, Terms
from spec_mcp.predict.prices import price_of

EXPLORATION = 0.4
"""The rate of exploration: an arm that earned nothing in 12 questions is thought to earn a tenth of what there is."""

FADING = 1.0 / 3_000
"""The share of what is known of an arm that is forgotten with each turn in which it is not asked."""

ARM_MEMORY = 120.0
"""Questions that an arm remembers: a speculator that goes bad is noticed within so many."""

DOUBT = 12.0
"""Questions that what it did after all tools counts for after one of which nothing is known; less, the more is."""

ASKING_S = 0.02
"""What a question costs though it is free, in seconds of waiting: a machine that guesses does nothing else."""

GUESS_S = 0.002
"""The same of one guess more."""

HOUR_S = 3600.0

TYPICAL_INPUT, TYPICAL_GUESS = 4_000, 80
"""Tokens of a question, and of each guess, before any was measured: rather too many."""

UNKNOWN_S = 1.0
"""The waiting of a turn that history does not hide, before any turn was seen."""

TYPICAL_S = 1.0
"""How long an answer takes that was never measured."""

TRIAL_S = 120.0
"""Waiting by which the purse starts, as if it had been saved: enough to find out what a speculator is worth."""

TRIAL_SHARE = 0.02
"""The share of all waiting that may be spent on trying, as if it had been saved."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the user is ready to give."""

    price_per_hour_saved: float = 0.0
    """What an hour of waiting may cost, in the currency of the prices; 0: nothing, so only what is free is asked."""
    settings: Callable[[], Settings] = Settings
    """What speculation goes by at present: what a wasted call is worth follows `used_share`."""

    def seconds_of(self, price: float) -> float:
        """The waiting that must be saved to make up for a price."""
        if price <= 0.0:
            return 0.0
        return price * HOUR_S / self.price_per_hour_saved if self.price_per_hour_saved > 0.0 else inf


@dataclass(slots=True)
class Purse:
    """What may be spent, in seconds of waiting at the price that the user has set: at any time no more was spent, and
    promised for questions that are out, than was saved, `TRIAL_SHARE` of the waiting and `TRIAL_S`. What a question
    costs is only known after it; it is taken to cost as much as the dearest so far, so that the bound holds up to what
    the questions that are out cost more than that."""

    saved_s: float = 0.0
    waited_s: float = 0.0
    spent_s: float = 0.0
    promised_s: float = 0.0

    @property
    def left_s(self) -> float:
        """What may still be spent."""
        return max(0.0, self.saved_s) + TRIAL_SHARE * self.waited_s + TRIAL_S - self.spent_s - self.promised_s


@dataclass(slots=True)
class Account:
    """What one speculator did, summed up."""

    asked: float = 0.0
    answered: float = 0.0
    guesses: float = 0.0
    right: float = 0.0
    input_tokens: float = 0.0
    cached_tokens: float = 0.0
    output_tokens: float = 0.0
    price: float = 0.0
    took_s: float = 0.0
    saved_s: float = 0.0

    def add(self, sums: Sequence[float]) -> None:
        """Add to each in the order above."""
        for of, value in zip(fields(self), sums, strict=True):
            setattr(self, of.name, getattr(self, of.name) + value)

    def sums(self) -> list[float]:
        """Each in the order above."""
        return [getattr(self, of.name) for of in fields(self)]


@dataclass(frozen=True, slots=True)
class Arm:
    """A speculator in a situation."""

    speculator: str
    about: About
    after: str
    """The tool of the last call, or of the one that runs."""

    @property
    def coarse(self) -> Key:
        """Whatever the tool."""
        return (self.speculator, self.about.value)

    @property
    def fine(self) -> Key:
        """After this tool."""
        return (self.speculator, self.about.value, self.after)


@dataclass(slots=True)
class Bandit:
    """See the module."""

    terms: Mapping[str, Terms]
    costs: Costs
    purse: Purse = field(default_factory=Purse)
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    _new_accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    _arms: Counts = field(default_factory=lambda: Counts(3, ARM_MEMORY))
    """Questions, the seconds that they earned, and the sum of the squares of what each guess did."""
    _ranks: Counts = field(default_factory=lambda: Counts(3, ARM_MEMORY))
    """The same of the first, the second, … guess."""
    _open: Counts = field(default_factory=lambda: Counts(2, ARM_MEMORY))
    """Turns, and the seconds that history did not hide of their waiting."""
    _dearest: dict[str, float] = field(default_factory=dict[str, float])
    _turn: int = 0
    _faded_at: dict[Key, int] = field(default_factory=dict[Key, int])
    """The turn up to which what is known of an arm was faded."""

    # --- choosing -----------------------------------------------------------------------------------------------------

    def in_order(self) -> list[str]:
        """The speculators, the cheapest first: each is judged by what it adds to those before it."""
        return sorted(self.terms, key=lambda name: (self.price(name, self.terms[name].most), name))

    def guesses_worth_asking(self, arm: Arm) -> int:
        """How many guesses to ask for; 0: it is not worth a question."""
        most = min(self.terms[arm.speculator].most, self.costs.settings().breadth)
        if most < 1:
            return 0
        k = self._guesses(arm, most)
        price_s = self.costs.seconds_of(self.price(arm.speculator, k))
        if self.index_s(arm) < price_s + ASKING_S:
            return 0
        return k if price_s == 0.0 or self._dearest_s(arm.speculator, k) <= self.purse.left_s else 0

    def index_s(self, arm: Arm) -> float:
        """What a question may be thought to save, in seconds."""
        coarse, fine = self._arms.row(arm.coarse) or NOTHING, self._arms.row(arm.fine) or NOTHING
        n, n_coarse = fine[0] * self._faded(arm.fine), coarse[0] * self._faded(arm.coarse)
        known = min(max(0.0, n_coarse - n), DOUBT) / (1.0 + n / DOUBT)
        scale = n / fine[0] if fine[0] else 0.0
        share = known / coarse[0] if coarse[0] else 0.0
        sums = [scale * one + share * other for one, other in zip(fine, coarse, strict=True)]
        return _index_s(sums, self._ceiling_s(arm))

    def price(self, speculator: str, k: int) -> float:
        """What a question with so many guesses is expected to cost."""
        account = self.accounts.get(speculator)
        prices = self.terms[speculator].prices
        if account is None or account.answered < 1.0:
            return price_of(prices, TYPICAL_INPUT, 0, k * TYPICAL_GUESS)
        reading = price_of(prices, account.input_tokens, account.cached_tokens, 0) / account.asked
        return reading + k * self._price_of_guess(speculator)

    def takes_s(self, speculator: str) -> float:
        """How long an answer takes."""
        account = self.accounts.get(speculator)
        return TYPICAL_S if account is None or account.answered < 1.0 else account.took_s / account.asked

    # --- what happens -------------------------------------------------------------------------------------------------

    def turned(self, open_s: Mapping[tuple[About, str], float], waited_s: float) -> None:
        """A turn is over. Of each question that might have been asked before it, and the tool after which it was: what
        a perfect answer would have hidden of the waiting, in seconds, and history did not; and all the waiting."""
        self._turn += 1
        self.purse.waited_s += waited_s
        for (about, tool), seconds in open_s.items():
            self._open.add((about.value,), 1.0, seconds)
            self._open.add((about.value, tool), 1.0, seconds)

    def asked(self, arm: Arm, k: int) -> float:
        """A question goes out; what is promised for it, in seconds, to be given back with what came of it."""
        self._fade(arm.coarse)
        self._fade(arm.fine)
        promised_s = self._dearest_s(arm.speculator, k)
        self.purse.promised_s += promised_s
        return promised_s

    def answered(self, arm: Arm, answered: Answered, promised_s: float) -> None:
        """What came of a question; what its guesses earn is told later."""
        self.purse.promised_s -= promised_s
        spent = answered.spent
        self.purse.spent_s += self._seconds_spent(spent.price)
        self._dearest[arm.speculator] = max(self._dearest.get(arm.speculator, 0.0), spent.price)
        if answered.ending is Ending.HELD_BACK:
            return
        is_answered = answered.ending is Ending.ANSWERED
        sums = (
            1.0, float(is_answered), float(len(answered.guesses)), 0.0, float(spent.input_tokens),
            float(spent.cached_tokens), float(spent.output_tokens), spent.price, spent.took_s, 0.0,
        )  # fmt: skip
        self._account(arm.speculator, sums)
        self._arms.add(arm.coarse, 1.0)
        self._arms.add(arm.fine, 1.0)
        for rank in range(answered.question.k if is_answered else 0):
            self._ranks.add((*arm.coarse, str(rank)), 1.0)

    def earned(self, arm: Arm, rank: int, seconds: float, *, was_right: bool) -> None:
        """A guess was used, or was not: what it added to the others' guesses, which may be less than nothing."""
        self._account(arm.speculator, (*(0.0,) * 3, float(was_right), *(0.0,) * 5, seconds))
        if seconds:
            self.purse.saved_s += seconds
            self._arms.add(arm.coarse, 0.0, seconds, seconds**2)
            self._arms.add(arm.fine, 0.0, seconds, seconds**2)
            self._ranks.add((*arm.coarse, str(rank)), 0.0, seconds, seconds**2)

    def is_worth_asking(self, speculator: str) -> bool:
        """Would it be asked after one tool or another?"""
        situations = ((About(key[0]), key[1]) for key in self._open.contexts() if len(key) == 2)
        arms = (Arm(speculator, about, tool) for about, tool in situations if about in self.terms[speculator].about)
        return any(map(self.guesses_worth_asking, arms))

    # --- across runs --------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Json]:
        """What was learned since the last dump, and what was forgotten: processes that end after a few turns add up to
        one that tries again what did not pay."""
        for key in self._arms.contexts():
            if key[0] in self.terms:
                self._fade(key)
        accounts, self._new_accounts = self._new_accounts, {}
        return {
            "arms": self._arms.dump(),
            "ranks": self._ranks.dump(),
            "open": self._open.dump(),
            "accounts": {name: [round(value, 9) for value in of.sums()] for name, of in accounts.items()},
        }

    def load(self, dumped: Mapping[str, Json]) -> None:
        """Add what was dumped.

        Raises:
            ValueError: the data has another shape.
        """
        tables = [table_of(dumped, name) for name in ("arms", "ranks", "open", "accounts")]
        accounts = {name: sums_of(sums, len(fields(Account))) for name, sums in tables.pop().items()}
        for counts, table in zip((self._arms, self._ranks, self._open), tables, strict=True):
            counts.load(table)
        for name, sums in accounts.items():
            self.accounts.setdefault(name, Account()).add(sums)

    # --- by the way ---------------------------------------------------------------------------------------------------

    def _guesses(self, arm: Arm, most: int) -> int:
        """As many as each pays for itself."""
        ceiling_s = self._ceiling_s(arm)
        extra_s = GUESS_S + self.costs.seconds_of(self._price_of_guess(arm.speculator))
        faded = self._faded(arm.coarse)
        for rank in range(1, most):
            row = self._ranks.row((*arm.coarse, str(rank)))
            if row is not None and _index_s([value * faded for value in row], ceiling_s) < extra_s:
                return rank
        return most

    def _ceiling_s(self, arm: Arm) -> float:
        """The waiting of a turn that history does not hide."""
        coarse, fine = self._open.row((arm.about.value,)), self._open.row((arm.about.value, arm.after))
        if coarse is None:
            return UNKNOWN_S
        mean_s = coarse[1] / coarse[0]
        return mean_s if fine is None else (fine[1] + DOUBT * mean_s) / (fine[0] + DOUBT)

    def _faded(self, key: Key) -> float:
        """The share of what is known of an arm that still counts."""
        return (1.0 - FADING) ** (self._turn - self._faded_at.get(key, 0))

    def _fade(self, key: Key) -> None:
        """Forget what of an arm counts no more."""
        share = self._faded(key)
        self._faded_at[key] = self._turn
        self._arms.fade(key, share)
        for rank in range(self.terms[key[0]].most):  # of an arm whatever the tool; of others there are none
            self._ranks.fade((*key, str(rank)), share)

    def _price_of_guess(self, speculator: str) -> float:
        account = self.accounts.get(speculator)
        prices = self.terms[speculator].prices
        if account is None or account.guesses < 1.0:
            return price_of(prices, 0, 0, TYPICAL_GUESS)
        return price_of(prices, 0, 0, 1) * account.output_tokens / account.guesses

    def _dearest_s(self, speculator: str, k: int) -> float:
        return self._seconds_spent(max(self.price(speculator, k), self._dearest.get(speculator, 0.0)))

    def _seconds_spent(self, price: float) -> float:
        """As `Costs.seconds_of`; a price that comes though none was allowed is as nothing in the purse."""
        seconds = self.costs.seconds_of(price)
        return 0.0 if seconds == inf else seconds

    def _account(self, speculator: str, sums: Sequence[float]) -> None:
        self.accounts.setdefault(speculator, Account()).add(sums)
        self._new_accounts.setdefault(speculator, Account()).add(sums)


NOTHING = (0.0, 0.0, 0.0)
"""The sums of an arm that was never asked."""


def _index_s(sums: Sequence[float], range_s: float) -> float:
    """UCB-V's index of an arm: the number, the sum and the sum of squares of its rewards, which are `range_s` wide."""
    n, total_s, squares = sums
    if n <= 0.0:
        return range_s
    mean_s = total_s / n
    variance = max(0.0, squares / n - mean_s**2)
    return min(range_s, mean_s + sqrt(2.0 * variance * EXPLORATION / n) + 3.0 * range_s * EXPLORATION / n)


def table_of(dumped: Mapping[str, Json], name: str) -> dict[str, Json]:
    """One of the tables of a dump; empty where there is none.

    Raises:
        ValueError: it is no table.
    """
    table = dumped.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"learned of speculators: {name} is no table")
    return table
