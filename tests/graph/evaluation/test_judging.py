"""`cooper evaluate judge` and `conversations`: verdicts, their statistics, judges that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langgraph_cooper.graph.evaluation.judging.judge import Verdict, read_choice
from langgraph_cooper.graph.evaluation.judging.outcome import read_outcome
from langgraph_cooper.graph.evaluation.judging.ratings import Rated, read_ratings
from langgraph_cooper.graph.evaluation.judging.significance import sign_test, signs_by_unit
from langgraph_cooper.nodes.llm.call import UnreadableError
from langgraph_cooper.ranker.data.dialogue import DataError
from tests.support.commands import Cooper
from tests.support.conversations import conversation, write_conversations
from tests.support.openai_server import OpenAIServer, Reply, Request

GOOD, BAD = "You could talk with her, step by step.", "Hm."


def answering(choose: Callable[[str, str, str], str]) -> Callable[[Request], Reply]:
    """A judge by the dimension and the two conversations."""

    def answer(request: Request) -> Reply:
        dimension = request.system.split("Judge one thing alone: ")[1].split(".")[0]
        first, second = request.given.split("<second-conversation")
        return Reply(choose(dimension, first, second))

    return answer


def better(_: str, first: str, second: str) -> str:
    if (GOOD in first) == (GOOD in second):
        return "tie"
    return "First" if GOOD in first else 'Answer: "second"'


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    rows = []
    for role in "abcdef":
        rows += [conversation("good", role, GOOD, GOOD), conversation("bad", role, BAD, BAD)]
    return write_conversations(tmp_path / "talks.jsonl", *rows)


def command(talks: Path, *more: str) -> list[str]:
    return ["evaluate", "judge", str(talks), "--model", "m", "--json", *more]


def unboxed(text: str) -> str:
    """A message without the frame and the lines that it is printed in."""
    return " ".join(text.replace("│", " ").split())


def row_of(told: dict[str, Any], dimension: str) -> dict[str, Any]:
    found: dict[str, Any] = told["compared"][0]["dimensions"][dimension]
    return found


# -- a judge -----------------------------------------------------------------------------------


def test_a_win_has_to_survive_the_swap(cooper: Cooper, endpoint: OpenAIServer, talks: Path) -> None:
    def choose(dimension: str, first: str, second: str) -> str:
        if dimension == "naturalness":
            return "first"  # whatever stands there
        return "tie" if dimension == "suggestion" else better(dimension, first, second)

    endpoint.reply = answering(choose)
    told = cooper(*command(talks)).json()
    won = row_of(told, "empathy")
    assert (won["wins"], won["losses"], won["ties"], won["flips"]) == (6, 0, 0, 0)
    assert won["p"] == pytest.approx(2 / 2**6)
    assert won["p_holm"] == pytest.approx(5 * won["p"])
    assert won["share"] == 1.0
    assert won["interval"][0] == pytest.approx(0.5407, abs=1e-3)
    flipped = row_of(told, "naturalness")
    assert (flipped["wins"], flipped["ties"], flipped["flips"], flipped["p"]) == (0, 6, 6, 1.0)
    assert (row_of(told, "suggestion")["ties"], row_of(told, "suggestion")["flips"]) == (6, 0)
    assert len(endpoint.requests) == 6 * 5 * 2
    assert {request.body["temperature"] for request in endpoint.requests} == {0}
    assert cooper(*command(talks)).json() == told  # kept, and not asked again
    assert len(endpoint.requests) == 60
    cooper("evaluate", "judge", talks, "--model", "n").fails("another setting", "judge")


def test_a_conversation_that_says_other_words_is_judged_again(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    endpoint.reply = answering(better)
    plans = [("good", role, GOOD) for role in "ab"] + [("bad", role, BAD) for role in "ab"]
    file = tmp_path / "talks.jsonl"
    write_conversations(file, *(conversation(*plan) for plan in plans))
    assert row_of(cooper(*command(file)).json(), "empathy")["wins"] == 2
    asked = len(endpoint.requests)
    cooper(*command(file)).json()
    assert len(endpoint.requests) == asked
    held_again = [conversation(*plan) for plan in plans]
    held_again[0]["said"][1]["text"] = BAD
    write_conversations(file, *held_again)
    found = row_of(cooper(*command(file)).json(), "empathy")
    assert (found["wins"], found["ties"]) == (1, 1)
    assert len(endpoint.requests) == asked + 5 * 2  # one pair, five dimensions, both orders


def test_another_question_about_rated_conversations_is_asked(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path
) -> None:
    endpoint.reply = lambda _: Reply("tie")
    rows = [json.loads(line) for line in ratings.read_text("utf-8").splitlines()]
    for question, calls in (("Who is kinder?", 16), ("Who is kinder?", 16), ("Who is wiser?", 32)):
        lines = (json.dumps({**row, "question": question}) + "\n" for row in rows)
        ratings.write_text("".join(lines), "utf-8")
        cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m", "--json").json()
        assert len(endpoint.requests) == calls


def test_a_judge_that_answers_prose_or_refuses_is_counted(
    cooper: Cooper, endpoint: OpenAIServer, talks: Path
) -> None:
    def answer(request: Request) -> Reply:
        if "empathy" in request.system:
            return Reply("The first conversation is fine, and the second is fine in its own way.")
        if "coherence" in request.system:
            return Reply("", refusal="I cannot judge people.")
        return answering(better)(request)

    endpoint.reply = answer
    told = cooper(*command(talks)).json()
    assert row_of(told, "empathy")["unreadable"] == 6
    assert row_of(told, "coherence")["refused"] == 6
    assert row_of(told, "identification")["wins"] == 6
    for name in told["compared"][0]["dimensions"]:
        row = row_of(told, name)
        counted = ("wins", "losses", "ties", "refused", "unreadable", "unasked")
        assert sum(row[part] for part in counted) == told["compared"][0]["pairs"] == 6


def test_a_judge_that_is_gone_is_asked_again_later(
    cooper: Cooper, endpoint: OpenAIServer, talks: Path
) -> None:
    endpoint.reply = lambda _: Reply(status=500)
    done = cooper(*command(talks, "--deadline", "1", "--at-once", "60"))
    assert "did not answer 60 questions" in done.err
    assert done.code == 1
    assert row_of(json.loads(done.out), "empathy")["unasked"] == 6
    endpoint.reply = answering(better)
    assert row_of(cooper(*command(talks)).json(), "empathy")["wins"] == 6


def test_what_cannot_be_compared_is_counted_and_named(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    endpoint.reply = answering(better)
    rows = [conversation("good", role, GOOD) for role in "abcd"]
    rows += [conversation("bad", "a", BAD)]
    rows += [conversation("bad", "b", BAD, ended={"by": "fault", "how": "system: timeout"})]
    rows += [conversation("bad", "c", ended={"by": "user", "how": "at once"})]
    told = cooper(*command(write_conversations(tmp_path / "talks.jsonl", *rows))).json()
    (each,) = told["compared"]
    assert each["pairs"] == 1
    assert sum(each["left_out"].values()) == 3
    assert each["left_out"]["one conversation is missing"] == 1
    assert each["left_out"]["bad fault: system: timeout"] == 1
    alone = write_conversations(tmp_path / "alone.jsonl", rows[0])
    cooper("evaluate", "judge", alone, "--model", "m").fails("of one system")
    cooper("evaluate", "judge", alone, "--model", "m", "--systems", "x").fails("system 'x'")
    assert cooper("evaluate", "judge", "--model", "m").code == 2


def test_a_role_in_three_manners_counts_once(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    endpoint.reply = answering(better)
    rows = []
    for manner in ("cooperative", "reserved", "resistant"):
        rows += [conversation("good", "a", GOOD, manner=manner)]
        rows += [conversation("bad", "a", BAD, manner=manner)]
    told = cooper(*command(write_conversations(tmp_path / "t.jsonl", *rows))).json()
    row = row_of(told, "empathy")
    assert (row["wins"], row["roles_won"], row["p"]) == (3, 1, 1.0)


def test_the_outcome_of_persuasion(cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if "how it ended" not in request.system:
            return Reply("tie")
        if GOOD in request.given:
            return Reply("Yes: yes\nAmount: $0.50\nPressed: 2")
        return Reply("They talked about it.")

    endpoint.reply = answer
    rows = [conversation("good", "a", GOOD), conversation("bad", "a", BAD)]
    file = write_conversations(tmp_path / "t.jsonl", *rows, task="persuasion")
    told = cooper(*command(file)).json()
    good = {"conversations": 1, "known": 1, "said_yes": 1, "mean_amount": 0.5, "pressed": 2.0}
    assert told["outcomes"]["good"] == {**good, "refused": 0, "unreadable": 0, "unasked": 0}
    assert told["outcomes"]["bad"]["unreadable"] == 1
    assert told["outcomes_compared"][0]["measures"]["said_yes"]["unknown"] == 1
    assert set(told["compared"][0]["dimensions"]) >= {"appeal", "proposition"}


def ending(outcomes: dict[str, Reply]) -> Callable[[Request], Reply]:
    """A judge that finds all equal, and tells how a conversation ended by what was said in it."""

    def answer(request: Request) -> Reply:
        if "how it ended" not in request.system:
            return Reply("tie")
        return next(reply for words, reply in outcomes.items() if words in request.given)

    return answer


def persuading(tmp_path: Path, *systems: str, roles: str = "abcdef") -> Path:
    """Conversations whose system says its own name, with each role."""
    rows = [conversation(name, role, f"I am {name}.") for role in roles for name in systems]
    return write_conversations(tmp_path / "t.jsonl", *rows, task="persuasion")


def test_outcomes_are_compared_over_roles(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    endpoint.reply = ending({
        "I am mild": Reply("Yes: yes\nAmount: 50 cents\nPressed: 1"),
        "I am loud": Reply("Yes: yes\nAmount: $2\nPressed: 5"),
        "I am dull": Reply("Yes: no\nAmount: none\nPressed: 1"),
    })  # fmt: skip
    file = persuading(tmp_path, "mild", "loud", "dull")
    told = cooper(*command(file)).json()
    mild_loud, mild_dull, loud_dull = told["outcomes_compared"]
    assert (mild_loud["systems"], mild_loud["pairs"]) == (["mild", "loud"], 6)
    assert set(mild_loud["measures"]) == {"said_yes", "amount", "pressed"}
    said_yes, amount, pressed = mild_loud["measures"].values()
    assert (said_yes["ties"], said_yes["p"]) == (6, 1.0)
    assert (amount["wins"], amount["losses"], amount["roles_lost"]) == (0, 6, 6)
    assert (pressed["better"], pressed["wins"], pressed["roles_won"]) == ("less", 6, 6)
    assert pressed["p"] == pytest.approx(2 / 2**6)
    # Six of nine tests have this p, and three have 1.
    assert pressed["p_holm"] == pytest.approx(9 * 2 / 2**6)
    assert mild_dull["measures"]["said_yes"]["wins"] == 6
    assert mild_dull["measures"]["amount"]["wins"] == 6  # a no gives nothing
    assert loud_dull["measures"]["pressed"]["losses"] == 6
    shown = " ".join(cooper("evaluate", "judge", file, "--model", "m").out.split())
    assert "mild against loud, 6 pairs by outcome" in shown
    assert "less is" in shown


def test_a_role_counts_once_in_outcomes(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    yes, no = Reply("Yes: yes\nAmount: 1\nPressed: 1"), Reply("Yes: no\nAmount: none\nPressed: 1")
    endpoint.reply = ending({GOOD: yes, BAD: no})
    rows = []
    for manner in ("cooperative", "reserved", "resistant"):
        rows += [conversation("good", "a", GOOD, manner=manner)]
        rows += [conversation("bad", "a", BAD, manner=manner)]
    file = write_conversations(tmp_path / "t.jsonl", *rows, task="persuasion")
    found = cooper(*command(file)).json()["outcomes_compared"][0]["measures"]["said_yes"]
    assert (found["wins"], found["roles_won"], found["p"]) == (3, 1, 1.0)


def test_an_agreement_to_no_named_sum_is_no_nothing(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    endpoint.reply = ending({
        "I am mild": Reply("Yes: yes\nAmount: not specified\nPressed: 1"),
        "I am dull": Reply("Yes: no\nAmount: none\nPressed: 1"),
    })  # fmt: skip
    told = cooper(*command(persuading(tmp_path, "mild", "dull"))).json()
    found = told["outcomes_compared"][0]["measures"]
    assert (found["said_yes"]["wins"], found["amount"]["unknown"]) == (6, 6)
    assert told["outcomes"]["mild"]["mean_amount"] is None


def test_what_has_no_outcome_is_counted_and_its_system_stands(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    yes = Reply("Yes: yes\nAmount: 1\nPressed: 1")
    refusal = Reply("", refusal="I cannot judge people.")
    endpoint.reply = ending({"I am a": yes, "I am b": refusal, "I am c": Reply(status=500)})
    file = persuading(tmp_path, "a", "b", "c", roles="xy")
    done = cooper(*command(file, "--max-calls", "1"))
    assert "did not answer 2 questions" in done.err
    assert done.code == 1
    found = json.loads(done.out)["outcomes"]
    counted = ("known", "refused", "unreadable", "unasked")
    assert [[found[name][part] for part in counted] for name in "abc"] == [
        [2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 2],
    ]  # fmt: skip
    assert {row["conversations"] for row in found.values()} == {2}
    assert found["c"]["pressed"] is None
    assert "0 of 0" in cooper("evaluate", "judge", file, "--model", "m", "--max-calls", "1").out
    endpoint.reply = ending({"I am c": yes})  # the others are not asked again
    assert cooper(*command(file)).json()["outcomes"]["c"]["known"] == 2


def test_an_outcome_is_asked_again_for_other_words_and_only_of_chosen_systems(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    yes = Reply("Yes: yes\nAmount: 1\nPressed: 1")
    endpoint.reply = ending({"I am a": yes, "I am b": yes})  # it knows no others
    file = persuading(tmp_path, "a", "b", "c", roles="x")
    told = cooper(*command(file, "--systems", "a,b")).json()
    assert set(told["outcomes"]) == {"a", "b"}
    file.write_text(file.read_text("utf-8").replace("I am b.", "I am better."), "utf-8")
    endpoint.reply = ending({"I am b": Reply("Yes: no\nAmount: none\nPressed: 1")})
    told = cooper(*command(file, "--systems", "a,b")).json()
    assert [told["outcomes"][name]["said_yes"] for name in "ab"] == [1, 0]


@pytest.mark.parametrize(
    ("text", "choice"),
    [("first", "first"), ("**Second.**", "second"), ("It is a tie", "tie"), ("B", "second"),
     ('{"answer": "first"}', "first"), ("1", "first"), ("<think>first?</think>tie", "tie")],
)  # fmt: skip
def test_answers_are_read(text: str, choice: str) -> None:
    assert read_choice(AIMessage(text)) == choice


@pytest.mark.parametrize("text", ["", "A good one", "first or second", "first " + "word " * 20])
def test_prose_is_no_answer(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_choice(AIMessage(text))


def test_outcomes_are_read() -> None:
    said = read_outcome(AIMessage("**Yes**: no\nAmount: none\nPressed: 5"))
    assert said == {"yes": False, "amount": None, "pressed": 5}
    with pytest.raises(UnreadableError):
        read_outcome(AIMessage("Yes: yes"))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("none", None), ("None (they offered $0.50 before)", None), ("no", None), ("N/A", None),
     ("not specified", None), ("", None), ("some of the payment", None), ("50% of it", None),
     ("12.50 %", None), ("0.50", 0.5), ("$.50", 0.5), ("50 cents", 0.5), ("50¢", 0.5),
     ("$0.50 cents", 0.5), ("$1,000", 1000.0), ("1,234.50 dollars", 1234.5), ("$2.", 2.0),
     ("$2.50 per task", 2.5), ("about $1", 1.0), ("0", 0.0), ("**$3**", 3.0), ('"0.1",', 0.1)],
)  # fmt: skip
def test_a_sum_is_read_from_its_own_line(text: str, amount: float | None) -> None:
    for line in (f"Amount: {text}", f"**Amount:** {text}"):
        read = read_outcome(AIMessage(f"Yes: yes\n{line}\nPressed: 4"))
        assert read == {"yes": True, "amount": amount, "pressed": 4}


@pytest.mark.parametrize(
    "last", ["Pressed: not at all\n\n3 reasons", "Pressed: 2.5", "Pressed: 10"]
)
def test_how_pressed_is_one_number_on_its_line(last: str) -> None:
    with pytest.raises(UnreadableError):
        read_outcome(AIMessage(f"Yes: no\nAmount: none\n{last}"))


# -- statistics --------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_exact_and_does_not_know_who_is_first(wins: int, losses: int) -> None:
    one, other = sign_test(wins, losses), sign_test(losses, wins)
    assert one.p == pytest.approx(other.p)
    assert 0 <= one.p <= 1
    if one.interval and one.share is not None:
        assert one.interval[0] <= one.share <= one.interval[1]


def test_figures_that_were_worked_out_by_hand() -> None:
    assert sign_test(9, 1).p == pytest.approx(2 * (1 + 10) / 2**10)
    assert sign_test(0, 0).p == 1
    assert signs_by_unit([("a", 1), ("a", 1), ("a", -1), ("b", 0), ("c", -1)]) == (1, 1)


def test_a_verdict_needs_both_orders() -> None:
    results = {
        ("first", "second"): 1, ("second", "first"): -1, ("first", "first"): 0,
        ("tie", "second"): 0, ("tie", "tie"): 0, ("first", "refused"): None,
    }  # fmt: skip
    assert {pair: Verdict(*pair).result for pair in results} == results  # type: ignore[arg-type]
    assert Verdict("second", "second").flipped
    assert not Verdict("tie", "second").flipped


# -- people's ratings --------------------------------------------------------------------------


def rating(number: int, rated: str, *, good_first: bool) -> dict[str, Any]:
    talks = [
        [{"speaker": "user", "text": f"I am sad, {number}."}, {"speaker": "system", "text": text}]
        for text in (GOOD, BAD)
    ]
    first, second = talks if good_first else talks[::-1]
    return {"id": str(number), "dimension": "empathy", "ratings": [rated, rated, "tie"],
            "first": first, "second": second}  # fmt: skip


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    file = tmp_path / "rated.jsonl"
    rows = [rating(n, "first" if n % 2 else "second", good_first=bool(n % 2)) for n in range(8)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_a_judge_is_compared_with_people(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path
) -> None:
    endpoint.reply = answering(better)
    told = cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m", "--json").json()
    found = told["dimensions"]["empathy"]
    assert (found["judged"], found["agreement"], found["kappa"]) == (8, 1.0, 1.0)
    assert found["raters"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["p"] == pytest.approx(2 / 2**8, abs=1e-5)
    assert (told["position"]["first"], told["position"]["second"]) == (8, 8)
    assert not told["by_place"]
    assert (told["length"]["longer"], told["length"]["shorter"]) == (8, 0)


def test_a_judge_that_always_says_the_first_is_seen(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path
) -> None:
    endpoint.reply = answering(lambda *_: "first")
    done = cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m")
    assert "this judge goes by the place" in done.out.replace("\n", " ")
    told = cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m", "--json").json()
    assert told["by_place"]
    found = told["dimensions"]["empathy"]
    assert (found["flips"], found["agreement"], found["kappa"]) == (8, 0.0, 0.0)
    assert (told["position"]["first"], told["position"]["pairs_first"]) == (16, 8)
    assert told["position"]["p"] == pytest.approx(2 / 2**8, abs=1e-5)


def write_ratings(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def calibrated(cooper: Cooper, ratings: Path) -> dict[str, Any]:
    return cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m", "--json").json()


def test_the_dimensions_and_orders_of_a_pair_are_one_unit_of_a_bias(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    rows = [
        {**rating(number, "first", good_first=True), "dimension": dimension}
        for number in range(3)
        for dimension in ("coherence", "naturalness", "identification", "empathy", "suggestion")
    ]
    file = write_ratings(tmp_path / "rated.jsonl", *rows)
    endpoint.reply = answering(better)
    length = calibrated(cooper, file)["length"]
    assert (length["longer"], length["pairs_longer"], length["share"]) == (15, 3, 1.0)
    assert length["p"] == pytest.approx(2 / 2**3)
    endpoint.reply = answering(lambda *_: "second")
    (tmp_path / "rated.judged.jsonl").unlink()
    told = calibrated(cooper, file)
    assert (told["position"]["second"], told["position"]["pairs_second"]) == (30, 3)
    assert told["position"]["p"] == pytest.approx(2 / 2**3)
    assert not told["by_place"]  # three pairs fall alike with p = 1/4


def test_one_choice_does_not_make_a_judge_go_by_the_place(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path
) -> None:
    def choose(_: str, first: str, second: str) -> str:
        return "first" if "I am sad, 1." in first and GOOD in first else "tie"

    endpoint.reply = answering(choose)
    told = calibrated(cooper, ratings)
    position = told["position"]
    assert (position["first"], position["second"], position["ties"]) == (1, 0, 15)
    assert (position["share"], told["by_place"]) == (1.0, False)


def test_a_rater_is_compared_with_the_others_over_the_judged_pairs(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path
) -> None:
    several = [
        (["first", "first", "second"], "judged"),  # 2 of 3 would agree with all; none with the rest
        (["second"], "alone"),
        (["tie", "tie", "tie", "tie"], "refused"),
    ]
    rows = []
    for number, (given_ratings, word) in enumerate(several):
        rows.append({**rating(number, "first", good_first=True), "ratings": given_ratings})
        rows[-1]["first"][0]["text"] = word

    def answer(request: Request) -> Reply:
        if "refused" in request.given:
            return Reply("", refusal="I cannot judge people.")
        return answering(better)(request)

    endpoint.reply = answer
    told = calibrated(cooper, write_ratings(tmp_path / "rated.jsonl", *rows))
    found = told["dimensions"]["empathy"]
    assert (found["judged"], found["refused"]) == (2, 1)
    # The first raters' others tie, and the last one's others chose the other side.
    assert (found["agreement"], found["raters"]) == (0.5, 0.0)


def test_peoples_preference_of_length_stands_beside_the_judges(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path, tmp_path: Path
) -> None:
    endpoint.reply = answering(better)  # the better one is the longer one
    length = calibrated(cooper, ratings)["length"]
    shared = {"longer": 8, "shorter": 0, "share": 1.0, "pairs_longer": 8, "pairs_shorter": 0}
    assert length["people"] == {**shared, "p": pytest.approx(2 / 2**8, abs=1e-5)}
    done = cooper("evaluate", "judge", "--calibrate", ratings, "--model", "m")
    assert "with people 8 and 0 times" in " ".join(done.out.split())
    rows = [rating(n, "second", good_first=True) for n in range(6)]
    other = calibrated(cooper, write_ratings(tmp_path / "short.jsonl", *rows))["length"]
    assert (other["longer"], other["people"]["longer"], other["people"]["shorter"]) == (6, 0, 6)


def muffin(idx: int, **letters: str) -> dict[str, Any]:
    context = ["Seeker: I am sad.\n", "Supporter: Why: is that?\n", "Seeker: He left."]
    return {"idx": idx, "situation": "x", "context": context, "Supporter AB": [GOOD, BAD],
            "options": "A, B, tie", **letters}  # fmt: skip


def test_the_published_ratings_columns_are_read(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "three.json"]
    given = [{"comforting": "A", "overall": "B"}, {"comforting": "tie"}, {"comforting": "A"}]
    for file, letters in zip(files, given, strict=True):
        file.write_text(json.dumps([muffin(0, fluency="", **letters)]), "utf-8")
    comforting, overall = read_ratings(files)
    assert (comforting.dimension, comforting.ratings) == ("comforting", ("first", "tie", "first"))
    assert (comforting.majority, overall.majority) == ("first", "second")
    assert comforting.talk("second")[-2:] == [("user", "He left."), ("system", BAD)]
    assert comforting.talk("first")[1].text == "Why: is that?"
    files[1].write_text(json.dumps([muffin(7)]), "utf-8")
    with pytest.raises(DataError, match=r"one\.json has no entry 7"):
        read_ratings(files)
    files[1].write_text(json.dumps([muffin(0), muffin(7, overall="A")]), "utf-8")
    with pytest.raises(DataError, match=r"one\.json has no entry 7, which another file has"):
        read_ratings(files)
    files[1].write_text(json.dumps([{"id": 0}]), "utf-8")
    with pytest.raises(DataError, match=r"two\.json, entry 0 has not the columns of Muffin's"):
        read_ratings(files)
    files[0].write_text(json.dumps([{"idx": 0, "Supporter AB": [GOOD]}]), "utf-8")
    with pytest.raises(DataError, match="Muffin's ratings"):
        read_ratings(files[:1])


def test_a_tie_gives_way_to_a_side() -> None:
    talk: Any = [{"speaker": "system", "text": "x"}]
    for ratings, majority in (
        (["first", "tie"], "first"),
        (["first", "second"], "tie"),
        (["tie", "tie", "second"], "tie"),
    ):
        rated = Rated(id="a", dimension="x", first=talk, second=talk, ratings=tuple(ratings))  # type: ignore[arg-type]
        assert rated.majority == majority


def test_ratings_that_cannot_be_used_are_one_sentence(
    cooper: Cooper, endpoint: OpenAIServer, ratings: Path
) -> None:
    command = ("evaluate", "judge", "--model", "m", "--calibrate", ratings)
    row = rating(1, "first", good_first=True)
    for fields, word in (
        ({"dimension": "beauty"}, "'beauty'"), ({"ratings": []}, "there is none"),
        ({"ratings": ["third"]}, "ratings.0"), ({"extra": 1}, "extra"),
    ):  # fmt: skip
        ratings.write_text(json.dumps({**row, **fields}), "utf-8")
        cooper(*command).fails(word)
    ratings.write_text("", "utf-8")
    cooper(*command).fails("holds no ratings")
    assert not endpoint.requests


# -- files that are read -----------------------------------------------------------------------


def test_no_output_takes_the_place_of_what_is_read(
    cooper: Cooper, endpoint: OpenAIServer, talks: Path, ratings: Path, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.jsonl"
    real.write_text("", "utf-8")
    link.symlink_to(talks)
    judge = ("evaluate", "judge", "--model", "m")
    for file, command_line in (
        (talks, ("evaluate", "conversations", talks, "--output", talks)),
        (talks, ("evaluate", "conversations", talks, "--output", link)),
        (real, ("evaluate", "conversations", talks, "--data", real, "--output", real)),
        (talks, (*judge, talks, "--output", tmp_path / "folder" / ".." / talks.name)),
        (ratings, (*judge, "--calibrate", ratings, "--output", ratings)),
    ):
        before = file.read_bytes()
        done = cooper(*command_line)
        assert done.code == 2
        assert "would be lost" in unboxed(done.err)
        assert file.read_bytes() == before
    assert not endpoint.requests


def test_conversations_of_another_task_are_refused(
    cooper: Cooper, endpoint: OpenAIServer, talks: Path
) -> None:
    endpoint.reply = answering(better)
    for command_line in (command(talks), ["evaluate", "conversations", str(talks), "--json"]):
        other = cooper(*command_line, "--task", "persuasion")
        assert other.code == 2
        assert "of the task 'esc'" in unboxed(other.err)
        assert not endpoint.requests
        own = cooper(*command_line, "--task", "prompts/esc/task.toml", "--systems", "good,bad")
        assert own.json()["task"] == "esc"
        endpoint.requests.clear()


def test_conversations_of_an_unknown_task_ask_for_its_file(
    cooper: Cooper, talks: Path, tmp_path: Path
) -> None:
    write_conversations(talks, conversation("good", "a", GOOD), task="negotiation")
    done = cooper("evaluate", "conversations", talks)
    assert done.code == 2
    assert "name its file with --task" in unboxed(done.err)
    named = ("evaluate", "conversations", talks, "--task", "examples/negotiation.toml", "--json")
    assert cooper(*named).json()["task"] == "negotiation"


# -- without a judge ---------------------------------------------------------------------------


def test_conversations_are_measured_and_drawn(cooper: Cooper, talks: Path, tmp_path: Path) -> None:
    told = cooper("evaluate", "conversations", talks, "--json").json()
    good, bad = told["systems"]["good"], told["systems"]["bad"]
    assert good["words"] == 8
    assert bad["words"] == 1
    assert (good["answered"], bad["answered"]) == (1.0, pytest.approx(0.0))
    assert good["repeated"] == 0.5  # the second reply is the first
    assert told["by_round"]["systems"]["good"]["turns"][:3] == [6, 6, 0]
    assert 0 < told["by_round"]["systems"]["good"]["distance"] <= 1
    measured = told["compared"][0]["measures"]
    assert measured["words"]["difference"] == 7
    assert (measured["words"]["higher"], measured["words"]["p"]) == (6, 2 / 2**6)
    assert measured["words"]["p_holm"] > measured["words"]["p"]
    assert told["progress"]["good"]["exploration"]["end"] == 0.5
    assert "by the pipeline's own opinion" in cooper("evaluate", "conversations", talks).out
    report = tmp_path / "report.json"
    report.write_text(json.dumps(told), "utf-8")
    drawn = cooper("plot", "conversations", report, "--output", tmp_path / "figures").out.split()
    assert [Path(each).name for each in drawn] == ["aspects.png", "progress.png"]
    assert all(Path(each).stat().st_size > 5_000 for each in drawn)
    cooper("plot", "wins", report).fails("not a report of 'cooper evaluate judge --json'")


def test_one_role_has_no_interval(cooper: Cooper, tmp_path: Path) -> None:
    rows = [conversation("good", "a", GOOD), conversation("bad", "a", BAD)]
    shown = cooper("evaluate", "conversations", write_conversations(tmp_path / "t.jsonl", *rows))
    assert shown.code == 0, shown.err
    assert "good minus bad, 1 pairs" in shown.out


def test_simulated_users_stand_beside_people(cooper: Cooper, tmp_path: Path) -> None:
    rows = [conversation("bank", "a", GOOD, GOOD), conversation("bank", "b", GOOD)]
    rows[1]["role"]["opening"] = "What should I do?"  # given, and not the user's own words
    rows[0]["said"][2]["text"] = "Thank you! As an AI I have no wife."
    file = write_conversations(tmp_path / "t.jsonl", *rows)
    real = tmp_path / "real.txt"
    turns = [("usr", "I am very sad."), ("sys", "Why?"), ("usr", "He left.")]
    said = [
        {"speaker": who, "text": text} | ({"strategy": "Question"} if who == "sys" else {})
        for who, text in turns
    ]
    real.write_text(json.dumps({"dialog": said}), "utf-8")
    command = ("evaluate", "conversations", file, "--data", real)
    users = cooper(*command, "--json").json()["users"]
    assert set(users) == {"cooperative", "people"}
    simulated, people = users["cooperative"], users["people"]
    assert (simulated["utterances"], people["utterances"]) == (2, 2)
    assert (simulated["words"], people["words"]) == (6.5, 3.0)
    lengths = {part: row["words"] for part, row in people["by_part"].items()}
    assert lengths == {"beginning": 4.0, "middle": 2.0, "end": None}
    assert (simulated["thanks"], simulated["question"], simulated["other_side"]) == (0.5,) * 3
    assert people["distinct"] == 1.0
    assert "other_side" in cooper(*command).out


def test_wins_are_drawn(cooper: Cooper, tmp_path: Path) -> None:
    row = {"wins": 3, "ties": 2, "losses": 1}
    each = {"systems": ["a", "b"], "dimensions": {"empathy": row, "coherence": row}}
    report = tmp_path / "judged.json"
    report.write_text(json.dumps({"judge": "m", "task": "esc", "compared": [each]}), "utf-8")
    drawn = cooper("plot", "wins", report, "--output", tmp_path, "--form", "svg").out.strip()
    assert "empathy" not in drawn
    assert Path(drawn).stat().st_size > 5_000
