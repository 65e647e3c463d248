"""Amounts of money in a message, in the user's words and as numbers."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.amounts import amounts


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("I can do 80.", [("80", 80.0)]),
        ("50 cents, is that all right?", [("50 cents", 0.5)]),
        ("Ok, you convinced me: two dollars.", [("two dollars", 2.0)]),
        ("It cost $1,200.50 new", [("$1,200.50", 1200.5)]),
        ("twenty-five bucks and a fiver", [("twenty-five bucks", 25.0), ("a fiver", 5.0)]),
        ("Fine, 90 and you deliver it.", [("90", 90.0)]),
        ("How much of it? 100%?", []),
        ("Someone told me so.", []),
        ("-$5", []),
        ("I offer - $ 5", [("$ 5", 5.0)]),
        ("minus five dollars, or -3", []),
        ("$5-$10", [("$5", 5.0), ("$10", 10.0)]),
        ("between 5-10 dollars", [("5", 5.0), ("10 dollars", 10.0)]),
        ("", []),
    ],
)
def test_amounts_are_found(said: str, found: list[tuple[str, float]]) -> None:
    assert [(one.text, one.value) for one in amounts(said)] == found


def test_a_bare_number_word_is_no_clear_amount() -> None:
    said = "no one of the two, thirty-five, 3, $2, two dollars, a tenner"
    assert [one.text for one in amounts(said) if one.clear] == [
        "3", "$2", "two dollars", "a tenner",
    ]  # fmt: skip


def test_bounds_are_included() -> None:
    (offer,) = amounts("95")
    assert offer.within((95, 100))
    assert offer.within((80, 95))
    assert not offer.within((96, 100))


@pytest.mark.parametrize(
    ("said", "offered"),
    [
        ("the task pays 2.00, I could give 50 cents of it", [False, True]),
        ("I only made about $3 today", [False]),
        ("it costs 150 new and I paid 90 for mine", [False, False]),
        ("I'd pay 80", [True]),
        ("it cost me nothing, so take 5 dollars", [True]),
        ("I can make it 100", [True]),
    ],
)
def test_what_something_pays_or_costs_is_no_offer(said: str, offered: list[bool]) -> None:
    assert [not one.told for one in amounts(said)] == offered


@pytest.mark.parametrize(
    ("said", "offered"),
    [
        ("no, not $5, only $1", [False, True]),
        ("I can't do twenty but I could do $10", [False, True]),
        ("I don't want to give you 2 dollars", [False]),
        ("I can't give more than $5", [True]),  # that is the most, and may be given
        ("not even a dollar", [False]),
        ("Why not $5?", [True]),
        ("I can't say. $5?", [True]),
        ("It's not much. 5 dollars?", [True]),
    ],
)
def test_what_is_too_much_is_no_offer(said: str, offered: list[bool]) -> None:
    assert [not one.told for one in amounts(said)] == offered
