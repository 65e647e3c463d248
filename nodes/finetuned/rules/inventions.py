"""A reply invents nothing: no person in the user's life, no role, no number and no name."""

from __future__ import annotations

import re

from langgraph_cooper.nodes.finetuned.rules.situation import Situation, bare_words, own_words
from langgraph_cooper.nodes.language.text import sentences

# People and things in a life. Whoever names one of a group has named all of it, and also what the
# group's last line lets a reply call it ("my mom": "your mother", "your parents").
GROUPS: tuple[tuple[str, str], ...] = (
    ("mom mum mommy mama mother mothers moms parent parents", "parent parents family"),
    ("dad daddy papa father fathers parent parents", "parent parents family"),
    ("husband hubby", "partner spouse marriage"),
    ("wife wifey", "partner spouse marriage"),
    ("married marriage spouse", "partner spouse marriage"),
    ("boyfriend bf boyfriends", "partner relationship"),
    ("girlfriend gf girlfriends", "partner relationship"),
    ("fiance fiancé fiancee fiancée engaged engagement", "partner relationship wedding"),
    ("partner ex relationship breakup", "partner relationship ex"),
    ("son sons boy boys", "child children kid kids"),
    ("daughter daughters girl girls", "child children kid kids"),
    ("kid kids child children baby toddler teenager teen newborn", "child children kid kids baby"),
    ("brother brothers bro", "sibling siblings family"),
    ("sister sisters sis", "sibling siblings family"),
    ("sibling siblings", "sibling siblings family"),
    ("grandma grandmother granny nana gran", "grandmother grandma grandparents"),
    ("grandpa grandfather granddad", "grandfather grandpa grandparents"),
    ("grandparents grandparent", "grandparents grandmother grandfather"),
    ("grandson granddaughter grandchildren grandkids grandchild", "grandchildren grandchild"),
    ("uncle uncles", "uncle family"), ("aunt aunts auntie", "aunt family"),
    ("cousin cousins", "cousin family"), ("nephew nephews", "nephew"), ("niece nieces", "niece"),
    ("in-law in-laws inlaws", "in-laws"),
    ("roommate roommates flatmate housemate", "roommate roommates"),
    ("neighbor neighbour neighbors neighbours", "neighbor neighbour neighbors neighbours"),
    ("boss bosses manager managers supervisor supervisors employer", "boss manager supervisor "
     "employer"),
    ("coworker coworkers co-worker co-workers colleague colleagues workmates", "coworker coworkers "
     "colleague colleagues co-worker co-workers"),
    ("job jobs work working works worked hired fired laid employed unemployed career employer "
     "company office shift boss manager supervisor coworker coworkers colleague colleagues "
     "workplace interview business salary", "job work workplace employer company career office"),
    ("school college university class classes exam exams student studying study teacher professor "
     "semester degree grades course courses homework campus", "school college university class "
     "classes exam exams teacher professor studies grades degree course"),
    ("teacher teachers professor professors tutor", "teacher professor"),
    ("therapist therapy counselor counsellor psychologist psychiatrist counseling counselling "
     "shrink", "therapist counselor counsellor psychologist therapy"),
    ("doctor doctors gp physician hospital surgery diagnosis diagnosed", "doctor doctors"),
    ("dog dogs puppy pup", "dog pet pets puppy"), ("cat cats kitten kitty", "cat pet pets kitten"),
    ("pet pets", "pet pets"),
    ("wedding", "wedding"), ("divorce divorced divorcing", "divorce"),
    ("pregnant pregnancy expecting", "pregnancy baby"),
    ("landlord landlady rent", "landlord"), ("church priest pastor", "church pastor priest"),
    ("addiction addicted drinking drink alcohol alcoholic drunk drugs", "addiction drinking"),
    ("surgery operation", "surgery"), ("car driving drive", "car"),
    ("depression depressed", "depression"), ("anxiety anxious panic", "anxiety"),
    ("cancer tumor tumour chemo", "cancer"), ("illness sick ill disease", "illness"),
)  # fmt: skip

ROLES = frozenset(
    [
        "mom", "mother", "mum", "dad", "father", "parent", "wife", "husband", "student", "teacher",
        "nurse", "manager", "boss", "son", "daughter", "sister", "brother", "grandmother",
        "grandfather", "widow", "widower", "veteran", "survivor", "caregiver", "carer",
    ]
)  # fmt: skip
YOURS = re.compile(
    r"\byour (?:(?:own|dear|late|current|former|old|new|two|three|other|older|younger|little|big|"
    r"best|poor|whole|beloved|sick|ill|ex) )*([\w-]+)"
)
ROLE = re.compile(
    r"\b(?:being|as|become|becoming|you are|you're|you were|since you are|are you) an? (?:\w+ "
    r"){0,2}?"
    rf"({'|'.join(sorted(ROLES))})\b"
)
HE = frozenset(["he", "him", "his", "himself", "he's", "he'd", "he'll"])
SHE = frozenset(["she", "her", "hers", "herself", "she's", "she'd", "she'll"])
MALE = HE | frozenset(
    [
        "man", "men", "boy", "guy", "dad", "daddy", "father", "husband", "boyfriend", "brother",
        "son", "uncle", "grandfather", "grandpa", "nephew", "fiancé", "fiance", "bf", "hubby", "mr",
        "sir", "male", "granddad", "bro", "king", "priest",
    ]
)  # fmt: skip
FEMALE = SHE | frozenset(
    [
        "woman", "women", "girl", "lady", "mom", "mum", "mommy", "mother", "wife", "girlfriend",
        "sister", "daughter", "aunt", "grandmother", "grandma", "niece", "fiancée", "fiancee", "gf",
        "mrs", "ms", "female", "nana", "gran", "granny", "sis", "queen",
    ]
)  # fmt: skip
PEOPLE = re.compile(r"(?<![.!?] )(?<!^)(?<!\w)[A-Z][a-z]{2,}\b")

NUMBER = re.compile(r"\$\s?\d[\d,.]*|\b\d[\d,.]*%?|\b\d+(?:st|nd|rd|th)\b")
NUMBER_WORDS = {
    "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
    "8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve", "20": "twenty",
    "30": "thirty", "40": "forty", "50": "fifty", "60": "sixty", "70": "seventy", "80": "eighty",
    "90": "ninety", "100": "hundred",
}  # fmt: skip
_DIGITS = {word: digits for digits, word in _WORDS.items()}


def _groups() -> dict[str, frozenset[str]]:
    """Map each noun that a reply may use to the user's words of which one must have been said."""
    found: dict[str, set[str]] = {}
    for said, callable_ in GROUPS:
        words = set(said.split())
        for noun in callable_.split():
            found.setdefault(noun, set()).update(words)
        for noun in words:
            found.setdefault(noun, set()).update({noun, *(words if _alike(said) else ())})
    for common in ("family", "work", "relationship", "company", "children's"):
        found.pop(common, None)
    return {noun: frozenset(words) for noun, words in found.items()}


def _alike(said: str) -> bool:
    """Return whether the words of a group are other words for the same."""
    return said.split(maxsplit=1)[0] not in {
        "job",
        "school",
        "therapist",
        "married",
        "partner",
        "kid",
        "pet",
    }


_GROUP = _groups()
_KNOWN = frozenset(_GROUP)


def _named(noun: str, situation: Situation) -> bool:
    return bool(_GROUP.get(noun, frozenset({noun})) & situation.user_words)
