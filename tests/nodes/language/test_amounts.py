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
        ("5.1.2020 at 5:30, on the 5th", []),
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
    assert [one.offered for one in amounts(said)] == offered


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
    assert [one.offered for one in amounts(said)] == offered


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("I make 62k right now", [("62k", 62_000.0)]),
        ("My salary is 45 K", [("45 K", 45_000.0)]),
        ("62k-70k a year", [("62k", 62_000.0), ("70k", 70_000.0)]),
        ("They offer 1.2m, or $2M", [("1.2m", 1_200_000.0), ("$2M", 2_000_000.0)]),
        ("1,5 million", [("1,5 million", 1_500_000.0)]),
        ("fifty thousand, or two hundred thousand dollars", [
            ("fifty thousand", 50_000.0), ("two hundred thousand dollars", 200_000.0),
        ]),
        ("two grand, not two grand pianos", [("two grand", 2_000.0), ("two", 2.0)]),
        ("€45.000", [("€45.000", 45_000.0)]),
        ("1.200,50 €", [("1.200,50 €", 1_200.5)]),
        ("45 000", [("45 000", 45_000.0)]),
        ("45 500 a year", [("45 500", 45_500.0)]),
        ("1 250 000 euros", [("1 250 000 euros", 1_250_000.0)]),
        ("5,00,000", [("5,00,000", 500_000.0)]),
    ],
)  # fmt: skip
def test_thousands_and_millions_are_read(said: str, found: list[tuple[str, float]]) -> None:
    assert [(one.text, one.value) for one in amounts(said)] == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("4.50", [4.5]),
        ("$4.5", [4.5]),
        ("4,50 euros", [4.5]),
        ("0.500", [0.5]),
        ("1.500 million", [1_500_000.0]),
        ("80 100", [80.0, 100.0]),  # two messages, joined
        ("5,10,15", []),
    ],
)
def test_other_points_commas_and_spaces_make_no_thousands(said: str, found: list[float]) -> None:
    assert [one.value for one in amounts(said)] == found


@pytest.mark.parametrize(
    "said",
    [
        "I ran 10k today", "my first 5k", "I make time for a 5k run", "a 4k TV", "I'm 1.8m tall",
        "I did a 10k", "20k followers", "10k steps to save money",
    ],
)  # fmt: skip
def test_a_race_a_length_and_a_screen_are_no_sums(said: str) -> None:
    assert amounts(said) == []
