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
NUMBER_WORDS = frozenset(
    [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
        "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand",
        "million", "billion", "dozen", "hundreds", "thousands", "millions", "billions", "dozens",
        "percent", "half", "twice",
    ]
)  # fmt: skip
# "Take five minutes", "two things": advice, not facts.
HARMLESS_NUMBER = re.compile(
    r"\b(?:\w+ (?:minutes?|breaths?|things?|ways?|steps?|seconds?|lists?|options|of you|sides?|"
    r"ideas?|words|people|and a half)|one or two|two or three|half of|half the|24/7|one of|at "
    r"least|once or twice|twice|second thoughts?)\b"
)
# Said of anybody's life, and of none in particular.
NAMES = frozenset(
    [
        "I", "I'm", "I've", "I'd", "I'll", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
        "Saturday", "Sunday", "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December", "English", "Christmas", "AI",
        "OK", "God", "Internet", "Google", "Okay", "Ok", "TV", "Thanksgiving", "Easter", "New",
        "Year", "Years", "Eve", "Covid", "COVID",
    ]
)  # fmt: skip
NAME = re.compile(r"(?<=[a-z,;:] )([A-Z][\w'’]+)")
GREETED = re.compile(
    r"^(?:hi|hello|hey|dear|thanks|thank you|sorry|bye|goodbye),? ([A-Z][a-z]+)[,.!]", re.IGNORECASE
)
GREETABLE = frozenset(
    [
        "there", "everyone", "again", "friend", "all", "you", "welcome", "hello", "for", "so",
        "too", "yes", "no", "sure", "that", "very", "it", "this", "and", "to", "i",
    ]
)  # fmt: skip
ADDRESS = re.compile(r"https?:|www\.|\b[\w.]+@[\w.]+|\b[\w-]+\.(?:com|org|net|co|uk|edu|gov|io)\b|"
                     r"\b\d{3}[- .]\d{3}[- .]\d{4}\b")  # fmt: skip


# Of those who wrote the data, where they wrote it and when: nobody here knows of it.
SETTING = re.compile(
    r"\bHIT\b|\bURL\b|\bm?turk\w*|\bsurvey\b|\btask payment\b|\bpayment for this\b|"
    r"\bresearchers?\b|\bresearch team\b|\bpress (?:the )?(?:quit|end|finish)|\bquit button\b|"
    r"\bend (?:the|this) (?:chat|task)\b|\bmatch (?:your|the|any) (?:donation|gift|amount)|"
    r"\bdeducted\b|\bcovid\b|\bpandemic\b|\bcorona\w*|\bvirus\b|\bquarantin\w*|\block ?down\b|"
    r"\bsocial distanc\w*|\bvaccin\w*|\bchristmas\b|\bthanksgiving\b|\bholidays?\b|\bnew year\b",
    re.IGNORECASE,
)


def leaves_the_setting(situation: Situation, reply: str) -> str | None:
    """Return a word of the data's making or of its year that the user did not bring, if any."""
    for found in SETTING.finditer(reply):
        if not set(bare_words(found.group())) <= situation.user_words:
            return found.group()
    return None


def invents_a_relation(situation: Situation, reply: str) -> str | None:
    """Return a person, thing or role in the user's life that the user never named, if any."""
    plain = " ".join(own_words(reply).lower().split())
    for found in YOURS.finditer(plain):
        noun = found.group(1).removesuffix("'s")
        if noun in _KNOWN and not _named(noun, situation):
            return found.group()
    for found in ROLE.finditer(plain):
        if not _named(found.group(1), situation):
            return found.group()
    return None


def takes_for_another(situation: Situation, reply: str) -> str | None:
    """Return a "he" or "she" for whom there is nobody, or who is of the other sex, if any."""
    said = {word for text in (*situation.user_texts, *situation.system_texts)
            for word in bare_words(text)}  # fmt: skip
    if any(PEOPLE.search(text) for text in situation.user_texts):
        return None  # a name may be of either
    user = situation.user_words
    for pronouns, own, other in ((HE, MALE, FEMALE), (SHE, FEMALE, MALE)):
        used = next((word for word in bare_words(reply) if word in pronouns), None)
        if used and not own & said and not own & set(bare_words(reply)) - pronouns:
            return used
        # Both may have been meant earlier; of the last message only one.
        last = set(bare_words(situation.last))
        if used and other & last and not own & last and not own & user:
            return used
    return None


def invents_a_number(situation: Situation, reply: str) -> str | None:
    """Return a number that neither the task nor the user brought, if any."""
    for sentence in sentences(own_words(reply)):
        plain = (
            sentence.lower()
            if situation.task.opens == "system"
            else HARMLESS_NUMBER.sub(" ", sentence.lower())
        )
        for found in NUMBER.finditer(plain):
            digits = found.group().strip("$ .,%")
            if not {digits, digits.replace(",", ""), spelt(digits)} & situation.known_words:
                return found.group()
        for word in bare_words(plain):
            if word in NUMBER_WORDS and not {word, _DIGITS.get(word, word)} & situation.known_words:
                return word
    return None


def invents_a_name(situation: Situation, reply: str) -> str | None:
    """Return a name or an address that neither the task nor the user brought, if any."""
    text = own_words(reply)
    if (found := ADDRESS.search(text)) and found.group().lower() not in " ".join(
        situation.user_texts
    ).lower():
        return found.group()
    known = situation.known_words | {word for said in situation.system_texts
                                     for word in bare_words(said)}  # fmt: skip
    for sentence in sentences(text):
        for name in NAME.findall(sentence):
            plain = (bare_words(name) or [""])[0]
            if name.removesuffix("'s") not in NAMES and not name.isupper() and plain not in known:
                return str(name)
        greeted = GREETED.match(sentence)
        if greeted and greeted.group(1).lower() not in known | GREETABLE:
            return greeted.group(1)
    return None


def spelt(digits: str) -> str:
    """Return the word for a small number in digits, else the digits."""
    return _WORDS.get(digits, digits)


_WORDS = {
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
    first = said.split(maxsplit=1)[0]
    return first not in {"job", "school", "therapist", "married", "partner", "kid", "pet"}


_GROUP = _groups()
_KNOWN = frozenset(_GROUP)


def _named(noun: str, situation: Situation) -> bool:
    return bool(_GROUP.get(noun, frozenset({noun})) & situation.user_words)
