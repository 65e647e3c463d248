"""A program does not claim to be human, to have lived something, or to do what needs a body.

What the first person may say is listed, and all else is refused: people's replies, from which the
generator learnt, tell of a life in more ways than a list of claims could hold.
"""

from __future__ import annotations

import re

from langgraph_cooper.nodes.finetuned.claims.reading import claims
from langgraph_cooper.nodes.finetuned.rules.situation import Situation, own_words
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.nodes.pairs.form import Pair

ADVERBS = (
    r"(?:(?:also|always|already|actually|absolutely|almost|certainly|completely|definitely|do|"
    r"did|even|ever|fully|generally|honestly|just|kind of|kinda|mostly|never|often|once|only|"
    r"personally|previously|probably|quite|really|recently|simply|sincerely|so|sometimes|sort of|"
    r"still|surely|totally|truly|usually|very much|for one|myself|too) )*"
)
# What a program can truly have done or be doing in a conversation.
SAYS = (
    r"(?:said|meant|mean|asked|ask|heard|hear|read|understood|understand|noticed|notice|misread|"
    r"misunderstood|misheard|wondered|wonder|mentioned|suggested|hoped|thought|wanted to (?:ask|"
    r"say|know|make sure|check|hear|add|thank)|was (?:wondering|going to (?:say|ask|suggest)|"
    r"hoping|asking|just asking|only asking|wrong|mistaken|thinking of you|able to "
    r"(?:help|chat|talk|speak|listen|hear|be|give|offer|support|assist|provide|answer)|of (?:some |"
    r"any )?help)|told you|got (?:that|it|you|this)\b|see|saw (?:that you|what you|your)|caught|"
    r"took (?:it|that|from)|assumed|forgot to (?:ask|say|mention)|made (?:a mistake|it sound)|"
    r"came across|should have|did not mean|didn't mean)"
)
PAST = (
    r"(?:was|were|had|went|got|did|felt|lost|left|came|saw|found|took|made|gave|told|knew|"
    r"thought|began|broke|brought|bought|built|caught|chose|cut|drank|drove|ate|fell|fought|"
    r"forgot|grew|heard|held|hurt|kept|learnt|led|lent|let|met|paid|put|quit|ran|read|rode|said|"
    r"sat|sold|sent|shut|slept|spent|spoke|stood|swam|taught|thought|threw|understood|wore|wrote|"
    r"won|wasn't|weren't|hadn't|didn't|couldn't|could not|did not|used to|[a-z]{2,}ed)(?![\w'])"
)
NOT_PAST = r"(?:need|feed|speed|proceed|succeed|agreed|indeed)\b"
PARTICIPLES = (
    r"(?:been|had|gone|got|gotten|done|felt|lost|left|come|seen|found|taken|made|given|known|"
    r"went|begun|broken|bought|dealt|met|suffered|struggled|experienced|lived|worked|grown|"
    r"[a-z]{2,}ed)\b"
)
# "I have heard, read, understood": of this conversation.
MAY_HAVE = (
    r"(?:heard|read|understood|noticed|asked|said|mentioned|suggested|listened|offered|"
    r"misunderstood|told you|been (?:able to|listening|reading|asking|hearing|told|wondering|"
    r"trying to understand|too)|got (?:it|that|the|an?|you)\b|gathered|given you|repeated|"
    r"answered|missed)"
)
# The present of a body, a home and a purse.
LIVES = (
    r"(?:live|work|play|drive|eat|drink|sleep|walk|run|cook|watch|exercise|meditate|journal|pray|"
    r"study|teach|own|suffer|struggle|cry|smoke|travel|miss|hate|go (?:to|through|for|out|on|"
    r"with)|get (?:anxious|nervous|sad|angry|stressed|upset|down|lonely|depressed|frustrated|"
    r"scared|bored|tired|overwhelmed|out|up|really|so|very|that way|like that)|use|do (?:the "
    r"same|that|this|it|yoga|too|as well)|donate|give|volunteer|sponsor|contribute|chat with my|"
    r"talk to my|spend|buy|read (?:a|books|to|the|about|in|when|every)|listen to music|enjoy|"
    r"fear|dread|deal with|cope|find (?:that|it|my)|try (?!to (?:understand|help|listen|follow|"
    r"keep))|wake|stay (?:up|home|at)|keep (?:a|my)|find myself|tend to|lean on|take (?:a|my|"
    r"walks|baths|medication)|grew|come from|earn|make money|suck|keep busy|believe in god|am "
    r"religious)\b"
)
ENJOYS_TALK = r"enjoy (?:talking|chatting|our|this|listening|hearing|speaking)"
LIKES = r"(?:love|like|prefer|adore)\b"
MAY_LIKE = (
    r"(?:love|like|prefer) (?:that|your|this|how|the (?:idea|sound|way|plan|thought)|what|to "
    r"(?:hear|know|help|listen|ask|think|understand|suggest|add|say)|it when you|it that)"
)
FEELINGS = (
    r"(?:the same|that way|this way|it too|lonely|sad|down|anxious|nervous|angry|depressed|"
    r"stressed|so (?!sorry)\w+|like (?:that|this|crying|giving)|very|really|terrible|awful|worse|"
    r"pain|lost|overwhelmed|tired|sick|scared|hurt|your pain|you\b)"
)
# "I am a ..." a program may say of itself.
PROGRAMS = (
    r"(?:an? )?(?:(?:\w+ ){0,3}?(?:ai|a\.i\.|program|programme|bot|chatbot|robot|machine|"
    r"software|computer|assistant|listener|partner|automated|artificial)\b)"
)
# "I am ..." as a state of this conversation.
MAY_BE = (
    r"(?:so |very |really |truly |deeply |just |also |still |always |terribly |genuinely |"
    r"sincerely |extremely |quite |only |not |more than |here |all |too |sure |incredibly |such |"
    r"most |pretty |well |much |happily )*(?:sorry|glad|happy|here|listening|sure|certain|afraid "
    r"(?:i|that|you|not|it|there)|not sure|able|available|all ears|with you|proud of you|"
    r"thankful|grateful|pleased|delighted|curious|interested|wondering|asking|hearing|hoping|"
    r"confident|concerned|impressed|open|ready|following|thinking|going to (?:ask|say|suggest|"
    r"listen|be (?:here|honest))|trying to|talking (?:to|with|about)|saying|suggesting|reading "
    r"(?:what|your|that|between)|sending|sensing|getting (?:that|the (?:sense|feeling|"
    r"impression))|seeing|wishing|rooting for|on your side|in no|no (?:expert|doctor|therapist|"
    r"professional)|(?:not )?an? (?:expert|doctor|therapist|professional|counsel\w+)|telling you|"
    r"happy|worried (?:about you|that you)|unsure|moved|touched|amazed|surprised|positive you|"
    r"convinced|aware|free to|willing|in awe|inclined|assuming|guessing|referring|unable|unclear|"
    r"confused|(?:not )?following|good|fine|well|doing (?:well|good|fine|great|okay)|great|okay|"
    r"ok|excited|relieved|honou?red|human|wrong|mistaken|right|correct|staying (?:here|with)|"
    r"taking in|looking forward|sorr+y|hopeful|all set|alright)\b"
)
OWN_THINGS = (
    r"(?:goal|aim|suggestion|suggestions|advice|question|questions|point|"
    r"best(?= (?:wishes|advice|guess|suggestions?|regards|to|here|for|at|and|with|in)\b|[.,;!?]|$)|"
    r"pleasure|apologies|apology|mistake|understanding|opinion|guess|thought|thoughts|view|"
    r"answer|answers|reply|words|wish|wishes|condolences|sympathy|sympathies|sincere|sincerest|"
    r"deepest|heart|idea|ideas|hope|concern|turn|side|attention|fault|bad|full|account|asking|"
    r"description|memory|limits|reading|impression|purpose|job here|job is to|price|offer|offers|"
    r"asking price|bike|bicycle|mind|help|support|previous|last|earlier|message|messages|first|"
    r"next|thanks|only|role|part|knowledge|favou?rite part of|goodness|gosh|god|word|sense|"
    r"recommendation|tip|tips|own part|warmest|lips|part in this)\b"
)
KIN = (
    r"(?:mom|mother|mum|dad|father|parents?|sister|brother|siblings?|son|daughter|kids?|child|"
    r"children|husband|wife|partner|spouse|boyfriend|girlfriend|fianc\w+|friends?|family|uncle|"
    r"aunt|cousin|grand\w+|niece|nephew|boss|job|work|dog|cat|pets?|ex|life|house|home|school|"
    r"doctor|therapist|experience|past|childhood|age|country|church)"
)
ROLES = (
    r"(?:mom|mother|mum|dad|father|parent|man|woman|wife|husband|student|teacher|nurse|veteran|"
    r"person|human|christian|girl|guy|sibling|daughter|son|friend of mine|survivor|fellow|former|"
    r"retired|single|people|therapist who|counsel\w+ who|adult|kid|child|teen\w*|millennial|girl)"
)

# Not "may I", which asks.
ME = r"(?<![\w'])(?<!may )(?<!can )(?<!could )(?<!should )(?<!shall )(?<!might )i "
I_AM = r"(?<![\w'])(?:i am|i'm|im) "
I_HAVE = rf"(?<![\w'])(?:i {ADVERBS}(?:have|had)|i've|ive|i'd) "

CLAIMS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{ME}{ADVERBS}(?!{SAYS})(?!{NOT_PAST}){PAST}",
        rf"{I_HAVE}{ADVERBS}(?!{MAY_HAVE}){PARTICIPLES}",
        rf"{I_HAVE}{ADVERBS}(?:an? |some |many |two |three |several |my |the |these |such |"
        r"similar )"
        rf"?(?:\w+ ){{0,2}}?{KIN}\b",
        rf"{I_HAVE}{ADVERBS}(?:anxiety|depression|adhd|ptsd|insomnia|problems?|trouble|kids|bills|"
        r"issues|been there|moments|days|the same|similar|experience|a hard time|a lot (?:of|on)|"
        r"to work)\b",
        rf"{ME}{ADVERBS}(?!{ENJOYS_TALK})(?!{MAY_LIKE})(?:{LIVES}|{LIKES})",
        rf"{ME}{ADVERBS}feel {ADVERBS}{FEELINGS}",
        rf"{I_AM}(?!{PROGRAMS})(?!(?:{ADVERBS}){MAY_BE})(?!(?:not|no) )\S",
        rf"{I_AM}{ADVERBS}(?:good|fine|well|happy|glad|great|okay|ok|proud|sure|excited|grateful|"
        rf"thankful|relieved)\b[^.,;!?]{{0,40}}\b(?:my|for me)\b",
        rf"{I_AM}{ADVERBS}(?:a )?(?:real |actual |only |just )?(?:human|real|person|people|man|"
        r"woman)\b",
        rf"{I_AM}(?:(?:definitely|certainly|just|really|actually|absolutely) )*not (?:\w+ )??"
        r"(?:a |an )?(?:robot|bot|machine|program|ai|computer)\b",
        rf"{I_AM}not (?:feeling|doing|able to sleep|working|married|alone|religious|young|old|"
        r"from)\b",
        rf"(?<![\w'])my (?!own\b)(?!{OWN_THINGS})\w+",
        rf"(?<![\w'])my own (?!{OWN_THINGS})\w+",
        r"(?<![\w'])our (?!(?:\w+ )?(?:talk|talks|chat|conversation|conversations|discussion|"
        r"time|words|price|deal|exchange|last|next)\b)\w+",
        rf"(?<![\w'])we (?:own )?(?:{KIN}|had|went|were|got|did|used to|lost|bought|divorced|"
        r"broke|lived|met|moved|have been|both (?:have|had|feel|know))\b",
        rf"(?<![\w'])(?:as|being|speaking as) an? (?:\w+ ){{0,2}}?{ROLES}\b[^.!?]*\b(?:i|me|my)\b",
        r"(?<![\w'])as (?:someone|somebody|one) who (?:has|have|had|is|was|lost|went|also|"
        r"suffers|struggles|knows|lives|lived|works|worked)\b",
        r"(?<![\w'])(?:me too|me as well|me also|me neither|me either|same here|same with me|"
        r"same for me|so do i|so did i|so am i|so have i|neither (?:do|did|am|have) i|i too|i do "
        r"too|i did too|i have too|i am the same|i'm the same|same boat|happened to me|works for "
        r"me|worked for me|for me it|reminds me of (?:my|when|a|the|me)|just like me\b|(?:people|"
        r"someone|those) like me\b|(?:you and me|you and i) both|with me too|for me too|takes me|"
        r"took me|makes me (?:sad|cry|feel|happy|angry|want|so|smile)|hurts me|bothers me|to be "
        r"honest i (?:feel|had|was))",
        rf"(?<![\w'])i (?:can |could )?{ADVERBS}(?:relate|identify|empathi[sz]e with you "
        r"because)\b",
        r"(?<!that )(?<!it )\bhelps me\b(?! (?:to )?(?:understand|see|know|help))|\bhelped "
        r"me\b(?! (?:to )?(?:understand|see|know))",
        r"(?:have|had) been in your (?:shoes|position|place)|^(?:\w+[,.]? )?been there\b|i've "
        r"been there|i have been there",
        r"\bmyself\b(?<!repeat myself)(?<!repeating myself)(?<!explain myself)(?<!express "
        r"myself)(?<!myself clear)(?<!ask myself)(?<!correct myself)(?<!introduce myself)",
        r"\bone \w+ to another\b|(?:^|[,;] )mine \w+|(?<![\w'])we (?:usually|often|always|"
        r"sometimes) ",
        r"\b(?:ditched|left|dumped|fired|hired|taught|raised|hurt|divorced|married|cheated on|"
        r"lied to|broke up with|walked out on) me\b|i speciali[sz]e",
        r"(?<![\w'])i (?:do |can |certainly |really |totally |completely |fully )*know "
        r"(?:exactly |just )?(?:how|what) (?:\w+ ){0,3}?(?:feels?|felt|is like|it's like|going "
        r"through|feeling|mean because|(?:hard|difficult|tough|painful|scary|stressful) (?:it|"
        r"that|this))",
        r"(?<![\w'])i (?:do |can |really |totally )*know (?:the|that|this) feeling",
        r"(?<![\w'])i (?:do |can |really |totally |also )*know (?:someone|somebody|a (?:person|"
        r"friend|guy|girl|woman|man|couple|lady)|"
        rf"{KIN})\b",
        r"(?<![\w'])(?:when|whenever) i (?!ask|say|said|read|hear|see|look at what|think (?:of|"
        r"about) (?:you|what|all))|(?<![\w'])(?:while|since|before|after|until|back when|because|"
        r"where|like) i (?:was|were|had|lost|got|went|did|became|quit|am (?:feeling|stressed|sad|"
        r"down|anxious|upset|alone)|feel|get|broke|moved|started|left|lived|worked|turned|needed|"
        r"first)\b",
        r"(?<![\w'])in (?:my|our) (?:\w+ )??(?:experience|family|life|country|case|job|time|"
        r"situation|own|town|city|area|state|house|home|twenties|thirties|past|position|shoes|"
        r"youth|opinion as)\b",
        r"(?<![\w'])(?:growing up,? i|i was growing up|at my age|back in (?:my|the) (?:day|days)|"
        r"in college i|in school i)\b",
        r"(?<![\w'])(?:a|some|many|most|one|two|few|couple|lot|all|several|couple) (?:of )?(?:my "
        r"|our |(?:\w+ )??(?:friends?|people|family|cousin|buddy|neighbou?r|coworkers?|"
        r"colleagues?) of (?:mine|ours))",
        r"(?<![\w'])(?:(?<!description )(?<!suggestion )(?<!idea )of mine|mine (?:is|was|are|did|"
        r"does|has|too)|we all (?:have|had) our)\b",
        r"(?<![\w'])(?:i will|i'll|i can|i could|i am going to|i'm going to|i would like to|i'd "
        r"like to|i'd love to|i would love to|i want to|let me|i plan to|i may|i might) "
        rf"{ADVERBS}(?:call|phone|"
        r"visit|hug|meet|email|e-mail|drive|pay|match (?:it|your|that)|pray|donate|give (?:a "
        r"(?:dollar|hug|donation|bit|little)|(?:\$|\d|one|two|some|half|money|to (?:the|this|"
        r"them|charity|save))|you a (?:hug|call))|text you|come (?:over|by|and|to)|send you (?:a|"
        r"an|some|my)|buy you|cook|contact (?:you|them|him|her)|introduce|be (?:praying|donating|"
        r"keeping you in my))\b",
        r"(?<![\w'])(?:praying|prayed) for you|(?:sending|send|give|giving) (?:you )?(?:a "
        r")?(?:big |virtual )*hugs?\b",
        r"(?<![\w'])my name(?: is|'s)\b|(?<![\w'])call me (?!(?:if|when|back|a program))[a-z]+",
        r"(?<![\w'])(?:we humans|us humans|we are all human|we're all human|fellow human|human "
        r"like you|human being like|humans like us|as humans,? we|not a (?:robot|bot|machine|"
        r"program)\b)",
        r"(?<![\w'])i (?:do|did|have|am|was|would|could)(?: too| as well|,? also)?[.!]*$",
        r"\b(?:happened|worked|works|did wonders|does wonders|was (?:\w+ )?(?:hard|tough|"
        r"difficult|great|good|helpful|easy|rough|the same|awful)|is (?:\w+ )?(?:hard|tough|"
        r"difficult|the same)|(?:work|life|things) \w+ \w+) (?:to|for|with) me\b",
    )
)
# Found by reading three hundred replies: plain words that only a person can say.
SHARED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{ME}{ADVERBS}have (?:an? |some |two |the )(?!(?:\w+ )?(?:questions?|suggestions?|"
        r"ideas?|thoughts?|doubts?|hope|faith|answers?|feeling|sense|tips?|memory|limits?|way|"
        r"right)\b)\w+",
        rf"{I_AM}(?:not|no longer) (?:able|allowed) to (?!help|answer|say|know|tell|give|offer|see|"
        r"hear|assist|provide|do that|speak|talk|promise|judge|diagnose|call|meet|decide|remember)"
        r"\w+",
        rf"{I_AM}{ADVERBS}(?:very |really )?interested in (?:watching|seeing|playing|going|trying|"
        r"visiting|doing|buying|making)\b",
        rf"{ME}can {ADVERBS}feel (?!that|how|your)\w+",
        rf"{ME}{ADVERBS}want to (?:try|go|visit|eat|sleep|join|leave)\b",
        r"\bnot (?:just|only) me\b|\band me\b(?=[.?!]*$)",
        r"(?<![\w'])(?:we are|we're) all\b|\ball in this together\b|(?<![\w'])we (?:all|both) "
        r"(?:go|get|feel|need|have|make|want|know|face|struggle)\b",
        r"(?<![\w'])we (?:can|could|will|do) get (?:very|really|so|pretty|too)\b",
    )
)
# What is asked of somebody who lives: no sample may answer that, unless it says what it is.
OF_A_LIFE = re.compile(
    r"\bhave you (?:ever|been|had|done|tried|felt|experienced|gone|lost)\b|\bdo you (?:ever|also|"
    r"like|love|enjoy|live|work|eat|drink|sleep|celebrate|watch|play|go|get|feel (?:the same|that "
    r"way|like that|lonely|sad)|have (?:an?|any|kids|children|family|friends|pets)|know (?:anyone|"
    r"someone|anybody|somebody))\b|\b(?:how(?:'s| is| are)|what(?:'s| is| are)) (?:the weather|"
    r"your (?:day|week\w*|weather|family|job|name|age|life|holidays?|experience|favou?rite))\b|"
    r"\bare you (?:married|single|from|having|alone)\b|\bwhere (?:are you|do you live)\b"
)
# A program that speaks of being one claims nothing; "not a robot" is caught all the same.
TRUE_SELF = re.compile(
    r"\b(?:as|being|i am|i'm|just|only) (?:an? )?(?:\w+ )?(?:ai|program|software|computer|"
    r"machine|chat partner|artificial)\b(?! like you)"
)
DENIES_BEING = re.compile(r"\b(?:not|n't) (?:\w+ )?(?:an? )?(?:robot|bot|machine|program|ai)\b")
FRAGMENT = re.compile(
    r"^(?:(?:yes|yeah|yep|no|oh|well|true|ok|okay|also|and|same|lol|haha|honestly)[,.]? "
    r")*(?:lost|had|went|was|been|got|felt|did|used|have been|grew|struggled|suffered|worked|"
    r"lived|tried|moved|divorced) (?:it|my|a|the|that|to|there|through|with|in|this|for|some|"
    r"many|very|so|really|similar|one|three|two) (?!you)"
)
SUPPOSES = re.compile(
    r"^(?:what |even )?if i (?:may|can|could|might|understand|hear|read|follow|got|get|have "
    r"(?:got|read|understood)|am not mistaken|am right|am wrong|were (?:in your|"
    r"you))\b(?!.*\bmy\b)"
)


def claims_a_life(situation: Situation, reply: str) -> str | None:
    """Return the words by which a reply claims to be human or to have lived something, if any."""
    for sentence in sentences(own_words(reply)):
        plain = " ".join(sentence.lower().split())
        if TRUE_SELF.search(plain) and not DENIES_BEING.search(plain):
            continue
        if SUPPOSES.match(plain):
            continue
        patterns = (*CLAIMS, *SHARED)
        for pattern in patterns if plain.endswith("?") else (*patterns, FRAGMENT):
            if found := pattern.search(plain):
                return found.group()
    return _answers_of_a_life(situation, reply)


def means_a_life(situation: Situation, reply: str) -> str | None:
    """Return a reply that claims a life by its meaning, whatever its words.

    A reply that says what it is speaks truly of itself, which the model has hardly ever seen.
    """
    if TRUE_SELF.search(reply.lower()):
        return None
    return reply if claims(Pair(situation.last, own_words(reply))) else None


def _answers_of_a_life(situation: Situation, reply: str) -> str | None:
    """Return a question about a life that a reply answers without saying what it is."""
    plain = " ".join(situation.last.lower().replace("’", "'").split())
    asked = OF_A_LIFE.search(plain)
    if asked is None or "?" not in plain[asked.start() :]:
        return None
    return None if TRUE_SELF.search(reply.lower()) else asked.group()
