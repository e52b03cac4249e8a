"""What did the person on the phone mean?

One utterance in, one meaning out, by tables of phrasings. Where two meanings fit, the one that costs the person least
if we are wrong comes first: a wish not to be called outranks everything. The input is a transcript, so case,
punctuation and apostrophes are not to be relied on.
"""

import re
from enum import StrEnum

from .sentences import plain


class Meaning(StrEnum):
    OPT_OUT = "opt_out"
    WRONG_NUMBER = "wrong_number"
    ROBOT = "robot"
    NOT_INTERESTED = "not_interested"
    ABSENT = "absent"
    CALLBACK = "callback"
    WHO = "who"
    REPEAT = "repeat"
    HOLD = "hold"
    GOODBYE = "goodbye"
    NO = "no"
    YES = "yes"
    OTHER = "other"


# In order of precedence. One phrasing a line (an indented line goes on with the one above); each matches whole words of
# the plain text, and `~` stands for up to three words.
_PHRASINGS: dict[Meaning, str] = {
    Meaning.OPT_OUT: r"""
(?:dont|do not|didnt|never|not to|not|nobody) ~(?:call|calls|calling|ring|phone|contact|text|bother|dial)
    (?! (?:(?:me|us|here|back) )?(?:before|until|till|so|now|right|today|tonight|at|on|in|during)\b)
(?:stop|quit|cease|no more) ~(?:call|calls|calling|phoning|ringing|texting|contacting|dialing|bothering
    |harassing|pestering)
(?:please |just )*stop(?: it| this| please)*$
(?:take|get|remove|delete|scratch|strike|cross|keep|drop|erase) (?:me|us|my name|my details|(?:my|our
    |this) (?:\w+ )?number)
(?:off|from|on) ~(?:call|calling|phone|mailing|contact|marketing)? ?list
do not call (?:list|register|registry)
(?:off|from|out of) your (?:records|database|system|files)
opt(?:ing)? (?:me |us )?out|unsubscribe \w*|unsubscribe
(?:lose|forget) (?:my|this) number
leave (?:me|us) alone|never (?:want|wish) to hear from you \w*
report(?:ing)? (?:you|this)
how many times do i
(?:dont|do not) want ~(?:calls?|called)
(?:dont|do not) want (?:you|anyone|people|anybody) ~(?:call|calling)
""",
    Meaning.WRONG_NUMBER: r"""
wrong (?:number|person|house|guy|lady|man|woman|phone|party)
misdial\w*|(?:dialed|dialled|called) (?:it )?wrong|(?:dialed|dialled|called) the wrong \w+
(?:nobody|no one|noone|no body) ~(?:by|with|of|called|named) ~(?:name|called|here)?
there(?:s| is) no (?:one|body|such) \w+
no such person
(?:doesnt|does not|dont|do not|didnt|never) (?:live|lived|work|worked) here
(?:moved|transferred) (?:out|away)|no longer (?:lives?|works?|here|with us)
(?:isnt|is not|not) (?:\w+ )?(?:his|her|their|that persons|that) (?:number|phone)
(?:just|recently|only) got this (?:number|phone)
never heard of (?:him|her|them|that|\w+)
(?:dont|do not) know (?:anyone|anybody|any|a|who that|who she|who he|them|her|him) ?\w*
not (?:who|the person|the one) you(?:re| are)? \w+
(?:have|must have|got) (?:\w+ )?mistaken \w+
(?:has |have )?passed away|(?:is|has|hes|shes) (?:died|dead|deceased)
""",
    Meaning.ROBOT: r"""
(?:are you|is this|is it|am i) ~(?:robot|human|machine|bot|ai|recording|computer|automated|real|real person|chatbot)
you(?: are|re|r)? (?:sound like )?(?:just )?a (?:robot|bot|machine|recording|computer)
""",
    Meaning.NOT_INTERESTED: r"""
(?:not|isnt|arent|wasnt|aint|never) (?:\w+ ){0,2}?interested|no interest|uninterested|(?:doesnt|does not) interest \w+
no thanks|no thank you|thanks but no|not for (?:me|us)|nothing for (?:me|us)
(?:dont|do not|didnt|wont) (?:really )?(?:need|want) (?!to know|to hear more about the other)\w+
already (?:have|got|own|use|bought|with|covered) ?\w*
(?:happy|satisfied|fine|set) with (?:what|my|our|the) \w+|all set
(?:i )?(?:id |would )?rather not|ill pass|i pass|(?:gonna|going to|have to) pass|pass on (?:that|this|it)|count me out
(?:have|going|like) to decline|no need|not (?:something|what) (?:i|we|im|id) ?\w*
(?:dont|do not) think (?:so|its for|i need|we need|im|id|thats) ?\w*
not (?:today|this time|looking|buying|convinced|my thing) ?\w*
absolutely not|no way|forget (?:it|about it)|no can do
(?:waste|wasting) (?:of )?(?:my |your |our )?time|(?:cant|cannot) afford \w+|too expensive
(?:some |an)other time|go away|get lost
not worth \w+|(?:couldnt|could not) care less|no use for \w+|(?:have|got) (?:everything|all) (?:i|we) need
(?:im|i am|were|we are) (?:good|ok|okay|fine) (?:thanks|thank you|for now|as (?:i am|is|we are))
(?:gonna|going to|have to) say no|(?:its|thats) a no|the answer is no|nah
sales call|selling something|whatever youre selling
""",
    Meaning.ABSENT: r"""
(?:hes|shes|isnt|is not|not|aint) (?:\w+ )?(?:here|home|at home|in|available|around|in the office)
    (?: right now| at the moment| today| now)?$
(?:just |has |have |hes |shes )(?:stepped|gone) out|away (?:until|till|this) \w+|on (?:vacation|holiday)|asleep
(?:hes|shes|he is|she is) (?:out|at work|at school|sleeping) ?\w*
""",
    Meaning.CALLBACK: r"""
(?:call|ring|phone|try|reach|contact|catch) (?:(?:me|us|her|him|them) )?(?:back|again|later|tomorrow
    |tonight|next|another|on|at|in|after|around|before|until|this) ?\w*
(?:dont|do not|never) call ~(?:before|until|till|so|this|now|right|today|tonight|at|on|in|during)
call ?back|callback|get back to (?:me|us)|another (?:moment|day)|(?:a )?better time|a different time
(?:speak|talk) (?:later|tomorrow|another)
(?:bad|not a good|not the best|terrible|inconvenient|not a great|isnt a good|isnt a great) (?:time|moment)
(?:im|i am|were|kind of|bit|really|very|too|pretty|quite) (?:\w+ )?busy|busy (?:right now|at the moment|now|today)
(?:im|i am|were|we are) (?:\w+ )?(?:driving|in a meeting|in the middle|at work|eating|having|cooking|with
    |about to|on the other line) ?\w*
(?:cant|cannot|can not) (?:talk|speak|chat|take (?:this|the|your|a) call)|not right now|not now
""",
    Meaning.WHO: r"""
who(?:s| is| are|m)? (?:this|you|it|calling|speaking|there|am i|do you) ?\w*|who
(?:may|can) i ask who|(?:dont|do not) know (?:you|who you|who this|who im) ?\w*
what(?:s| is) (?:this|it|that|the call|your call|this call) ~(?:about|regarding|concerning|for)
what do you want|why (?:are|do|did) you (?:call|calling|called)|what are you (?:calling|selling) ?\w*
(?:what|which) company|(?:where|who) (?:are|do) you (?:calling|call|from|work) ?\w*|what(?:s| is) your name
""",
    Meaning.REPEAT: r"""
say (?:that|it) again|repeat|come again|what did you say|(?:didnt|did not) (?:\w+ )?(?:catch|hear|get|understand) ?\w*
(?:cant|cannot|can not|couldnt|barely|hardly) (?:\w+ )?hear ?\w*|speak up|breaking up|one more time
(?:bad|poor) (?:line|connection)
(?:^)(?:oh |im )?(?:sorry |i beg your |beg your )?(?:pardon|what|huh|excuse me|sorry)(?: me| what)?$
""",
    Meaning.HOLD: r"""
(?:hold|hang) on|(?:one|just a|a|give me a|give me one) (?:moment|second|minute|sec)|wait a \w+
(?:please )?wait$|bear with \w+
""",
    Meaning.GOODBYE: r"""
(?:good ?)?bye|byebye|good night
have a (?:\w+ )?(?:good|nice|great|lovely|wonderful) (?:day|one|evening|night|afternoon|weekend)
(?:talk|speak) to you (?:later|soon)|see you|take care
(?:have|got|gotta|ive got|need) (?:to )?(?:go|run|leave|hang up)|gotta (?:go|run)|(?:im |i am )?hanging up
(?:going to|gonna) hang up
that(?:s| is|ll be| will be| would be) (?:all|everything|it)(?: (?:for|i|thanks|thank) ?\w*)?
(?:im|i am|were|we are) (?:all )?done|nothing else|end (?:the|this) call
""",
    Meaning.NO: r"""
^(?:(?:oh|um|uh|well|hm|no|and) )*(?:no|nope|negative|not really|not at all|of course not|not yet|never)
    (?: (?:no|sorry|sir|maam|thats fine|i (?:dont|am not|cant|do not|cannot|havent)|im not|its not
    |not really|it isnt))*$
""",
    Meaning.YES: r"""
^(?:(?:oh|well|um|uh|hello|hi) )*(?:yes|yeah|yep|yup|sure|okay|ok|of course|certainly|absolutely|definitely
    |please|go (?:on|ahead)|correct|right|alright|all right|sounds (?:good|great)|why not|i (?:would|do|am
    |guess)|im interested|interested|tell me more|fine)
""",
}


def _compiled(phrasings: str) -> re.Pattern[str]:
    lines = re.sub(r"\n +", "", phrasings.strip()).splitlines()
    alternatives = "|".join(lines).replace("~", r"(?:\w+ ){0,3}?")
    return re.compile(rf"(?<![^ ])(?:{alternatives})(?![^ ])")


_TABLE = {meaning: _compiled(phrasings) for meaning, phrasings in _PHRASINGS.items()}

# Phrases that hold the words of a refusal and are none; they go before the tables are read.
_NOT_A_REFUSAL = re.compile(
    r"\b(?:not that (?:im|i am) not interested|(?:no|not a) problem|no worries|dont (?:stop|worry|get me wrong)|no rush"
    r"|if (?:im|i am|i was) not interested|not (?:only|just) interested"
    r"|(?:dont|do not) (?:want|need) to (?:be rude|interrupt))\b"
)


def meaning(utterance: str, callee: str = "") -> Meaning:
    """What `utterance` means, said by whoever picked up when we asked for `callee`."""
    words = " ".join(_NOT_A_REFUSAL.sub(" ", plain(utterance)).split())
    for found, phrasings in _TABLE.items():
        if phrasings.search(words) or (found is Meaning.WRONG_NUMBER and _denies_being(callee, words)):
            return found
    return Meaning.OTHER


def _denies_being(callee: str, words: str) -> bool:
    """ "I'm not Ana", "this isn't Ana", "no Ana here"; but not "Ana's not home", which only means later."""
    name = plain(callee).partition(" ")[0]
    if name in ("", "there", "unknown"):
        return False
    name = re.escape(name)
    return any(
        re.search(denial, words)
        for denial in (
            rf"\b(?:im|i am|this is|its) not {name}\b",
            rf"\b(?:isnt|aint|no longer|not) {name}s? (?:number|phone)\b",
            rf"\b(?:this|it) (?:isnt|aint) {name}\b",
            rf"\b(?:theres|there is|we have|have) (?:no|not any) {name}\b",
            rf"\bno {name} here\b",
        )
    )


_DAY = (
    r"(?:today|tonight|tomorrow|the day after tomorrow"
    r"|(?:on |next |this |last )?(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|next week|next month|later today|later|this (?:morning|afternoon|evening))"
)
_NUMBER = r"(?:\d{1,2}(?::\d\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_HOUR = (
    r"(?:at|around|about|after|by) (?:about |around )?(?:noon|lunch|work|dinner|(?:half past |quarter (?:past|to) )?"
    rf"{_NUMBER}(?: thirty| fifteen)?(?: ?o'?clock)?(?: ?[ap]\.?m\b\.?)?)"
)
_SPAN = r"in the (?:morning|afternoon|evening)|in (?:half an|\w+) (?:hour|minute|day|week|month)s?"
_WHEN = re.compile(rf"\b(?:{_DAY}|{_HOUR}|{_SPAN})\b", re.IGNORECASE)
_WEEKDAY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b")


def day_named(utterance: str) -> str:
    """The day in `utterance`, in its own words: "next Thursday"; empty where none is named."""
    found = re.search(rf"\b{_DAY}\b", utterance, re.IGNORECASE)
    return _WEEKDAY.sub(lambda day: day.group().capitalize(), found.group().lower()) if found else ""


def when(utterance: str) -> str:
    """The words of `utterance` that say when: "tomorrow at three"; empty when it does not say."""
    parts = dict.fromkeys(match.group().lower() for match in _WHEN.finditer(utterance.replace("’", "'")))
    return _WEEKDAY.sub(lambda day: day.group().capitalize(), " ".join(parts))
