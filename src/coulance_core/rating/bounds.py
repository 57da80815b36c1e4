"""The least and the most that usage costs: a true-up up to the minimum, a visible discount down to the maximum."""

from fractions import Fraction


def true_up(minimum: Fraction, spent: Fraction) -> Fraction:
    """What is missing to a minimum spend; nothing when it was reached.

    >>> true_up(Fraction(100), Fraction(12)), true_up(Fraction(100), Fraction(112))
    (Fraction(88, 1), Fraction(0, 1))
    """
    return max(minimum - spent, Fraction(0))


def discount(maximum: Fraction, spent: Fraction) -> Fraction:
    """What is above a maximum spend, as a negative amount; nothing when it was not reached.

    >>> discount(Fraction(100), Fraction(112)), discount(Fraction(100), Fraction(12))
    (Fraction(-12, 1), Fraction(0, 1))
    """
    return min(maximum - spent, Fraction(0))
