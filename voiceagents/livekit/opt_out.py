"""Does the person ask never to be called again? Plain rules on the words of one turn.

Built from what such wishes are made of: a no before a word for calling, the end of a consent, a name or number that is
to leave a list. A wish for another time ("don't call me again before Tuesday") is none, nor is what somebody else does.
"""

# ruff: noqa: E501  a pattern reads better in one line

import re

_WE = r"(me|us|this (phone )?number|(my|our|this) (home |cell |mobile |phone )?(number|phone|house|line)|here|my (name|details|data|information))"
_CALL = r"(call|phone|ring|contact|bother|disturb|dial|pester|text|reach out|harass)"
_CALLING = rf"({_CALL}s?(ed|ing)?|phoning|contacting|bothering|disturbing|dialing|dialling|harassing|harass|pestering|getting in touch)"
_LIST = (
    r"((call(ing)? |phone |contact |mailing |marketing )?lists?|database|records?|systems?|files?|register|directory)"
)
_REMOVE = r"(take|remove|delete|get|strike|cross|scratch|erase|wipe|drop|clear|pull|scrub|keep|leave)"
_REMOVED = r"(taken|removed|deleted|struck|crossed|scratched|erased|wiped|dropped|off|out)"
_NO = r"(do not|don'?t|never|not|no longer|won'?t)"
_AGAIN = r"(again|any ?more|ever|in (the )?future|from now on)"
# "…until Tuesday", "…again today": they may be called another time.
_ANOTHER_TIME = r"(?!.{0,12}\b(until|till|before|today|tonight|tomorrow|this (morning|afternoon|evening|week)|right now|so (late|early)|at (this|work|night|\d)|on (mon|tues|wednes|thurs|fri|satur|sun))\b)"
# Not an order to us: "why don't you call me again tomorrow", "they don't call me any more".
_NOT_AN_ORDER = (
    r"(?<!why )(?<!if you )(?<!\bi )(?<!we )(?<!they )(?<!he )(?<!she )(?<!i'm )(?<!am )(?<!did )(?<!have )(?<!has )"
)

_OPT_OUT = re.compile(
    "|".join(
        (
            # Off the list
            rf"\b{_REMOVE} {_WE}\b.{{0,20}}?\b(off|from|out of)\b.{{0,30}}\b{_LIST}\b",
            r"\b(take|get|cross|strike|count) (me|us|my number|my name) (off|out)\b[\s.!,]*(please|now)?[\s.!,]*$",
            r"\b(remove|delete|erase|block|forget|lose) ((me|us)\b[\s.!,]*(please|now)?[\s.!]*$|(my|our|this) (phone )?(number|name|details|data)\b)",
            rf"\b(be|been|get|getting|gotten|want|like me|name|number) {_REMOVED}\b.{{0,12}}\b(from|off|of)?\b.{{0,20}}\b{_LIST}\b",
            r"\b(unsubscribe|opt(ing|ed)?([ -]me)?[ -]out)\b",
            r"\b(do[- ]not[- ]call|no[- ]call|don'?t[- ]call) (list|registry|register)\b",
            # No more calls
            rf"(?<!n't )(?<!not )(?<!never )\b(stop|quit|cease)( all| these| with the| the)? ({_CALLING}|calls)\b(?! (the|a|her|him|them|about) )",
            rf"\bno more (phone )?calls\b|\b(the |my )?last time (that )?(you|anyone|anybody|somebody) ({_CALLING})\b",
            rf"{_NOT_AN_ORDER}\b{_NO}\b(?! (hesitate|mind|forget))( \w+){{0,4}} {_CALLING}\b( {_WE})?( back| at)?.{{0,12}}\b{_AGAIN}\b{_ANOTHER_TIME}",
            rf"{_NOT_AN_ORDER}\b(do not|don'?t|never|not to)( you)?( ever)? {_CALL} {_WE}( (at|on) this number)?[\s.!?]*(,|$)",
            rf"{_NOT_AN_ORDER}\b(do not|don'?t|never)( you)?( ever)? {_CALL} back[\s.!]*$",
            rf"\b(sure|want|that|so) (nobody|no ?one) (ever )?{_CALL}s? {_WE}\b{_ANOTHER_TIME}",
            # No wish to be called
            rf"\b(do not|don'?t|never)( ever)? want (you (to )?|anyone (to )?|anybody (to )?|people (to )?|to be |to get |to receive |any )?(\w+ ){{0,2}}{_CALLING}\b{_ANOTHER_TIME}( me| us)?(?! (now|right|at|on)\b)",
            r"\b(do not|don'?t|never)( ever)? (want|wish|need|care) to hear from (you|your|them|any)\b",
            rf"\b(rather|prefer|appreciate it if|wish|like it if|grateful if) (you|you all|they|nobody|no ?one|not to be)\b.{{0,20}}\b(({_NO}|didn'?t|wouldn'?t|would not|stop) (\w+ )?|(?<=not to )be ){_CALLING}\b{_ANOTHER_TIME}",
            # No consent
            r"\b(do not|don'?t|never|didn'?t|did not) (consent|agree|agreed|give|gave|given|sign|signed|ask|asked|request|requested)\b(?! for a call).{0,40}\b(calls?|called|calling|contacted|contact|permission|consent)\b",
            r"\b(revoke|withdraw|take back|cancel)\b.{0,20}\b(consent|permission)\b",
            rf"\b(not|n't) (allowed|permitted|supposed) to {_CALL}\b",
            rf"\bif (you|they|anyone|anybody) (ever )?{_CALL}s? {_WE} again\b{_ANOTHER_TIME}",
        )
    ),
    re.IGNORECASE,
)


def asks_to_opt_out(text: str) -> bool:
    """Whether the turn asks that this number be never called again. `text` has plain apostrophes."""
    return _OPT_OUT.search(text) is not None
