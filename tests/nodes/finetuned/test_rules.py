"""What a sampled reply must not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.nodes.finetuned.rules import BANK_RULES, RULES, Situation, broken
from langgraph_cooper.nodes.finetuned.rules.requests import gives_what_was_refused, refused
from langgraph_cooper.prompts import TaskSpec, list_tasks, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.talk import system, user

ESC, PERSUASION = load_task("esc"), load_task("persuasion")
NEGOTIATION = load_task(Path(__file__).parents[3] / "examples" / "negotiation.toml")


def turn(*said: str, task: TaskSpec = ESC) -> Situation:
    """A dialogue in which the user spoke last."""
    sides = ("user", "system") if len(said) % 2 else ("system", "user")
    return Situation(
        task,
        [Utterance(sides[i % 2], text) for i, text in enumerate(said)],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "reply",
    [
        "I was in the same boat last year.",
        "I know how you feel, I lost a job too.",
        "My mother used to say that sleep is half the cure.",
        "As a mom, I can tell you that it gets easier.",
        "When I lost my job, I went for long walks.",
        "I've been there.",
        "I have a dog that keeps me busy.",
        "I'm a nurse, so I see that every day.",
        "I'm from Ohio.",
        "Been there, it is hard.",
        "I also struggle with sleep.",
        "I love to read when it rains.",
        "I'm not a robot.",
        "Yes, I am a real person.",
        "A friend of mine did just that.",
        "In my experience it takes a year.",
        "I can relate to that.",
        "Yoga helped me a lot.",
        "I will pray for you.",
        "Let me give you a hug.",
        "My name is Anna.",
        "Me too!",
        "I feel the same way about winter.",
        "We moved three times, and our kids were fine.",
        "I donated five dollars myself.",
        "If I always said yes, my boss would be happy.",
        "Mine did the same thing.",
        "Yes, the sound of the trumpet was a memory of mine.",
        "I am glad I was able to make it through this.",
        "I have a nice holiday from the holiday season.",
        "I am not able to pay the bills.",
        "I can feel it!",
        "I want to try it too.",
        "We are all in this together.",
        "It gets dark, and we can get very cold.",
        "You're right, it's not just me.",
    ],
)
def test_a_life_is_not_claimed(reply: str) -> None:
    assert broken(turn("I feel so alone."), reply, ["life"]) is not None


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry to hear that.",
        "I was wondering how you told them.",
        "I understand, and I'm glad you wrote.",
        "I hear that you lost your job.",
        "I'm an AI program, so I have no mother.",
        "As a program I have never lost a job.",
        "I think you did the right thing.",
        "My suggestion would be a short walk.",
        "I love that idea!",
        "If I may ask, when did it begin?",
        'You could tell her: "I was hurt when my trust was broken."',
        "I've heard you say that before.",
        "I meant the way he speaks to you.",
        "I know this is not easy.",
        "It sounds like you were there for her.",
        "I enjoy talking with you.",
        "May I give you one reason?",
        "I have a few questions, if you don't mind.",
        "I am not able to call anybody for you.",
        "I want to understand what happened.",
        "Share it with me.",
        "I can feel that this weighs on you.",
    ],
)
def test_what_a_program_can_say_is_no_claim(reply: str) -> None:
    assert broken(turn("I feel so alone."), reply, ["life"]) is None


@pytest.mark.parametrize(
    "asked",
    [
        "Have you ever done something like that?",
        "I'm watching films. Do you like movies?",
        "It's raining here, how's the weather where you are?",
        "Do you know anyone who got through this?",
    ],
)
def test_a_question_about_a_life_is_answered_by_a_program_alone(asked: str) -> None:
    assert broken(turn(asked), "Sure, it's a great idea.", ["life"]) is not None
    assert broken(turn(asked), "I'm a program, so I have none of that.", ["life"]) is None
    assert broken(turn("Do you think I should go?"), "Sure, it's a great idea.", ["life"]) is None


@pytest.mark.parametrize(
    ("said", "reply", "rule"),
    [
        ("I lost my job.", "Does your husband know?", "relation"),
        ("I lost my job.", "How is your son's school taking it?", "relation"),
        ("I lost my job.", "Being a mother, you carry a lot.", "relation"),
        ("My wife left.", "Did your husband say why?", "relation"),
        ("My manager is a woman.", "What did he say to you?", "person"),
        ("I have exams next week.", "Did she tell you that?", "person"),
        ("I got fired.", "You worked there for 12 years.", "number"),
        ("I got fired.", "Nearly seventy of those who lose a job find one.", "number"),
        ("I got fired.", "Millions of people lose a job.", "number"),
        ("I got fired.", "It took thirteen of them.", "number"),
        ("I got fired.", "Have you looked on Craigslist?", "name"),
        ("I got fired.", "Hi Brian, that is hard.", "name"),
        ("I got fired.", "See www.jobs.com for that.", "name"),
        ("I got fired.", "The pandemic has been hard on everyone.", "setting"),
        ("I got fired.", "Thank you so much for your advice.", "side"),
        ("I got fired.", "What should I do about it?", "side"),
        ("I got fired.", "I am sorry about your failure.", "side"),
        ("I got fired.", "Supporter: That is hard.", "form"),
        ("I got fired.", "That is hard on you because", "form"),
        ("I got fired.", "That is hard. That is hard.", "form"),
        ("I got fired.", "Hard " * 39 + "it is.", "form"),
        ("I got fired.", "...", "form"),
        ("No therapist, please.", "You could see a counselor about it.", "refused"),
        ("I don't want advice, I just want to vent.", "Have you tried a long walk?", "refused"),
        ("Please don't tell me to breathe.", "Take a deep breath with me.", "refused"),
        ("Stop asking me questions.", "How long has it been like this?", "refused"),
        ("I'm sick of hearing that it gets better.", "It gets better with time.", "refused"),
        ("Don't say you are sorry.", "I am sorry that it happened.", "refused"),
        ("It has nothing to do with my sister.", "How did your sister take it?", "put aside"),
        ("I already tried talking to him.", "You could talk to him again.", "tried"),
        ("I feel empty.", "You should just kill yourself.", "guard"),
        ("I cannot tell my wife.", "You are more than likely lying to your wife.", "blame"),
        ("I lost my job.", "I think you are overreacting.", "blame"),
        ("She left me.", "It is your own fault that she left.", "blame"),
        ("She left me.", "Maybe you were the reason why she left.", "blame"),
        ("I shouted at him.", "You should be ashamed of yourself.", "blame"),
        ("I shouted at him.", "You shouldn't have said that to him.", "blame"),
        ("I forgot to call.", "You let your children down.", "blame"),
        ("I am so tired.", "Are you just being lazy?", "blame"),
        ("I am so tired.", "You don't really care about this.", "blame"),
        ("Nobody calls.", "Nobody likes you because you complain.", "blame"),
    ],
)
def test_each_rule_refuses(said: str, reply: str, rule: str) -> None:
    assert broken(turn(said), reply, [rule]) is not None


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("I lost my job.", "What did you like about your work?"),
        ("She left me.", "It isn't your fault, and you are not selfish."),
        ("She left me.", "You may feel that you let her down."),
        ("My dad shouted.", "He called you lazy, and that must hurt."),
        ("I failed.", "You shouldn't have to carry this alone."),
        ("I failed.", "You are being hard on yourself."),
        ("I failed my exam.", "You failed the exam, and that stings."),
        ("My mom is ill.", "How is your mother today?"),
        ("My manager is a woman.", "What did she say to you?"),
        ("My boyfriend shouted at me.", "What did he say after that?"),
        ("I worked there for 12 years.", "Twelve years is a long time."),
        ("Nobody at Walmart spoke to me.", "Did anybody at Walmart notice?"),
        ("I got fired.", "Maybe two small steps would help, or five minutes outside."),
        ("Covid took my job.", "Covid took so much from people."),
        ("I don't want to give up.", "You could look at one thing that went well."),
        ("What do you suggest?", "Have you tried a long walk?"),
        ("I feel empty.", "That emptiness sounds hard to bear."),
    ],
)
def test_what_the_user_brought_may_be_said(said: str, reply: str) -> None:
    assert broken(turn(said), reply) is None


def test_a_persuader_has_the_facts_of_its_task_and_no_others() -> None:
    asked = turn("What is it about?", task=PERSUASION)
    assert broken(asked, "Save the Children works for health and education.") is None
    assert broken(asked, "It has helped 155 million children.", ["number"]) is not None
    assert broken(asked, "Nine of ten dollars reach them.", ["number"]) is not None
    assert broken(asked, "It works in Syria.", ["name"]) is not None
    assert broken(asked, "I would love to donate, too.", ["side"]) is not None
    offered = turn("I could give 50 cents.", task=PERSUASION)
    assert broken(offered, "Fifty cents, or 50 cents a month, is kind.", ["number"]) is None
    buyer = turn("Fine, 90 and you deliver it.", task=NEGOTIATION)
    assert broken(buyer, "Let us say 90, then.", ["number"]) is None
    assert broken(buyer, "I could do 77.", ["number"]) is not None


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Can you not tell me to pray?", ["faith"]),
        ("Don't ask me how I feel.", ["questions"]),
        ("I don't want you to say it'll be fine.", ["cheer"]),
        ("Leave god out of this.", ["faith"]),
        ("I'm not looking for a solution, just listen.", ["advice"]),
        ("Never give up, they say.", []),
        ("I don't like my job.", []),
        ("Never mind.", []),
        ("I never ask for help.", []),
    ],
)
def test_what_is_refused_is_recognised(text: str, kinds: list[str]) -> None:
    assert refused([text]) == kinds


def test_a_refusal_ends_when_the_user_asks_for_it() -> None:
    said = ["I don't want advice, I just want to vent.", "My boss is unfair."]
    assert refused(said) == ["advice"]
    assert refused([*said, "Ok, now I do want advice."]) == []
    assert refused([*said, "What should I do?"]) == []
    money = ["I don't want to donate."]
    assert refused(money) == ["money"]
    assert refused([*money, "Ok, you convinced me, I'll give two dollars."]) == []


def test_nothing_is_said_twice() -> None:
    situation = turn("Hi.", "How long have you felt this way?", "Since May.")
    assert broken(situation, "I see. How long have you felt this way?", ["repetition"])
    assert broken(situation, "How did it begin in May?", ["repetition"]) is None
    copied = turn("I do not know how to tell my wife about the job.")
    assert broken(copied, "You do not know how to tell my wife about the job.", ["repetition"])


def test_a_question_about_safety_is_left_to_the_guard() -> None:
    assert broken(turn("I feel empty."), "Are you thinking about killing yourself?", ["safety"])


@pytest.mark.parametrize("task", [*map(load_task, list_tasks()), NEGOTIATION], ids=lambda t: t.name)
def test_the_shipped_sentences_break_no_rule_of_their_own(task: TaskSpec) -> None:
    banks = [each.topics for each in (*task.aspects, *task.passive)]
    situation = turn("I see.", task=task)
    said = [form for topics in banks for topic in topics for form in topic.say if "{" not in form]
    found = [(form, broken(situation, form, ["life", "side", *BANK_RULES])) for form in said]
    assert [each for each in found if each[1]] == []


def test_every_rule_has_a_name_and_reads_an_empty_conversation() -> None:
    empty = Situation(ESC, [])
    assert {name: rule(empty, "Hello there.") for name, rule in RULES.items()} == dict.fromkeys(
        RULES
    )


@pytest.mark.parametrize(
    ("said", "refuses"),
    [
        (["My wallet stays shut, sorry."], True),
        (["I don't want to donate anything.", "ok then, put me down for 20 cents"], False),
        (["I don't want to donate anything.", "What do they do there?"], True),
    ],
)
def test_money_is_refused_as_the_task_reads_it(said: list[str], refuses: bool) -> None:
    talk = [line for text in said for line in (system("Would you give a dollar?"), user(text))]
    situation = Situation(load_task("persuasion"), talk)
    found = gives_what_was_refused(situation, "How much would you like to donate?")
    assert (found is not None) == refuses
