"""Does the person ask never to be called again? Plain rules on the words of one turn.

Built from what such wishes are made of: a no before a word for calling, the end of a consent, a name or number that is
to leave a list, a threat for the next call. A wish for another time ("don't call me again before Tuesday") is none, nor
is what somebody else does. Where a model is configured it reads the whole conversation besides, see `aftermath`.
"""

# ruff: noqa: E501  a pattern reads better in one line

import re

_OURS = r"(my|our|this|that)"
_KIND = r"((own|work|home|cell|mobile|personal|private|office|phone|telephone|contact) )*"
_NUMBER = rf"{_OURS} {_KIND}(number|phone|house|household|home|line|cell|mobile|office)"
_DETAILS = rf"(all (of )?)?{_OURS} {_KIND}(number|name|details?|data|info|information|contact|entry|record)s?"
_WE = rf"(me|us|here|there|{_NUMBER}|{_DETAILS})"
_CALL = r"(call|phone|ring|contact|bother|disturb|dial|pester|text|telephone|reach out to|reach out|harass|hassle|hound|badger|spam|solicit)"
_ING = r"(calling|callin|phoning|telephoning|ringing|contacting|bothering|disturbing|dialing|dialling|harassing|hassling|hounding|badgering|annoying|spamming|soliciting|reaching out|pestering|texting|getting in touch)"
_CALLED = r"(called|phoned|rung|contacted|bothered|disturbed|dialed|dialled|pestered|harassed|solicited)"
_CALLING = rf"({_CALL}s?|{_ING}|{_CALLED})"
_CALLS = r"((phone|sales|cold|marketing|spam|robo|junk|unsolicited|telemarketing|unwanted|nuisance|further|more|of|these|those|your|such)[ -]){0,4}(calls|phone ?calls|robocalls|contact|communications?)"
# Lists that people are called from, not those that they want to be on.
_ROLL = r"((?<!waiting )(?<!wait )(?<!guest )(?<!price )(?<!shopping )(?<!packing )(?<!invitation )lists?|data ?base|records?|register|registry|directory|calling campaign)"
_LIST = rf"({_ROLL}|systems?|files?|books|(call|phone|calling) (sheet|log|queue)|contacts?|rolodex|phone ?book|address book|dialler|dialer|rotation|roster|computers?|mailings?|crm)"
_REMOVE = r"(remove|delete|strike|cross|scratch|erase|wipe|clear|scrub|purge)"
_TAKE = r"(take|get|pull|drop|knock|keep|leave|kick|pluck|yank|consider)"
_REMOVED = r"(taken|removed|deleted|struck|crossed|scratched|erased|wiped|dropped|pulled|purged|scrubbed|off|out)"
_NO = r"(do not|don'?t|never|not|no longer|won'?t|must not|mustn'?t|shouldn'?t)"
_AGAIN = r"(again|any ?more|any longer|ever|no more|(in )?(the )?future|from now on|from here on|going forward|after (this|today)|another time|one more time|once more)"
# "…until Tuesday", "…again today": they may be called another time.
_OTHER_HOURS = r"(until|till|before|(so|this|too|that) (late|early)|at (this|work|night|\d|lunch|dinner|noon|such|the office)|on (the |a )?((mon|tues|wednes|thurs|fri|satur|sun)days?|week ?(end|day)s?)|in the (morning|evening|afternoon|middle)|during|while)"
_ANOTHER_TIME = (
    rf"(?!.{{0,12}}\b({_OTHER_HOURS}|today|tonight|tomorrow|this (morning|afternoon|evening|week)|right now)\b)"
)
# Not an order to us: "why don't you call me again tomorrow", "they don't call me any more", "I will not call again".
_NOT_AN_ORDER = "".join(
    rf"(?<!\b{who} )"
    for who in (
        "why", "if you", "do you", "did you", "i", "we", "they", "he", "she", "who", "it", "did", "have",
        "has", "had", "i'm", "am", "i've", "i do", "we do", "they do", "i will", "we will", "i would", "i shall", "i can", "will he",
    )
)  # fmt: skip
_PLEASE = r"(please|thanks|thank you|okay|ok|then|already|sir|ma'?am|man|you hear( me)?|is that clear|period)"
_END = rf"[\s.!,]*(\b{_PLEASE}\b[\s.!,]*)*(?=[.!?;]|$)"
_NOW_END = rf"[\s.!,]*(\b({_PLEASE}|now|today|immediately|right (now|away)|at once|as well|too)\b[\s.!,]*)*(?=[.!?;]|$)"
_START = r"(?:^|[.,!;] *|\b(?:please|just|said|so|and|okay|well|no|again|kindly|then|listen|look) )"
_YOU = r"(you|you all|y'?all|all of you|you people|you guys|you lot|your (people|company|colleagues?|firm|staff|team|office|boss)|them|they)"
_NAMES = r"(sir|ma'?am|mister|miss|mrs|mr|madam|dear|darling|honey|sweetie|love|names|by|a|an|the|that|liar|stupid)"

_REMOVAL = (
    rf"\b{_REMOVE} {_WE}\b.{{0,20}}?\b(off|from|out of)\b.{{0,30}}\b{_LIST}\b",
    rf"\b{_TAKE} {_WE}\b( \w+)? (off|out)( of)?\b.{{0,30}}\b{_LIST}\b",
    rf"\b{_TAKE} {_WE} from ((your|this|that|the|any|all|these) )+(\w+ ){{0,2}}({_ROLL})\b",
    rf"\b({_REMOVE}|{_TAKE}) {_WE} (off|out)( of)? (it|this|that|there|here){_NOW_END}",
    rf"\b(take|get|cross|strike|scratch|knock|consider) (me|us|{_DETAILS}) (off|removed){_NOW_END}",
    rf"\b(take|strike|pull) {_DETAILS} out{_NOW_END}",
    rf"(?<!did you )(?<!\bi )(?<!have you )\b({_REMOVE}|block|unsubscribe|deregister|unlist|blacklist|block-?list|cancel) ((me|us){_NOW_END}|{_DETAILS}\b)",
    rf"(?<!n't )(?<!not )(?<!never )(?<!\bi )(?<!always )\b(lose|forget|trash|burn|toss( out)?|throw (away|out)|get rid of|rip up|tear up|destroy|dump|ditch|discard|shred|scrap|purge|bin) {_DETAILS}\b",
    rf"\bthrow {_DETAILS} (away|out|in the)\b",
    r"(?<!n't )(?<!not )\bforget (that )?((you|we) (ever )?(had|have|got|knew|called)\b.{0,20}\b(number|name)|(i|we) (even )?exist\b)",
    rf"\b(be|been|get|getting|gotten|want|like me|name|number|come) {_REMOVED}\b.{{0,12}}\b(from|off|of)?\b.{{0,20}}\b(your|this|that|the|any|all|these|every) (\w+ ){{0,2}}{_ROLL}\b",
    rf"\b(want|need|like|have|get|be) ({_DETAILS} |me |us )?(to be )?(removed|deleted|erased|unsubscribed|deregistered|blacklisted|taken off){_NOW_END}",
    rf"\b(want|need|like|have|get) {_DETAILS} (to be )?(removed|deleted|erased|struck|blocked|wiped|taken (off|out))\b",
    rf"{_START}off (of )?(your|this|the|that) (\w+ )?{_ROLL}\b",
    rf"\b(do not|don'?t|never|shouldn'?t|should not|not (meant|supposed) to)( ever)?( want| wish)?( me| us)?( to)? be (on|in|part of) (your|this|that|any|these|the|a) (\w+ )?{_ROLL}\b",
    rf"\b(do not|don'?t|never)( ever)? (put|keep|add|leave|have) (me|us|{_DETAILS}) (on|in|to) (your|any|that|this) (\w+ )?{_ROLL}\b",
    rf"\b(am i|are we|is my (name|number)|i'?m|i am|my (name|number)( is|'s)?) still (on|in) (your|this|that) (\w+ )?{_ROLL}\b",
    r"\b(unsubscribe|deregister|opt(ing|ed)?([ -](me|us))?[ -]out|optout)\b",
    r"\b(do[- ]not[- ](call|contact|disturb)|no[- ]call|don'?t[- ]call|never[- ]call|suppression|telephone preference|robinson) (list|registry|register|service)\b",
    r"\b(on|to) (the |your )?(national |internal )?(do[- ]not[- ]call|dnc)\b|\b(on|with) the t\.?p\.?s\b|\btcpa\b|\bcease[- ]and[- ]desist\b|\bright to (be forgotten|erasure)\b",
    rf"\b(put|mark|flag|list|tag|set|note|register|classify)( (me|us|it|{_NUMBER}))? (down )?(as|for) (a )?['\"]?(do[- ]not|don'?t|no|never|not to be)[- ]?(call(ed)?|contact(ed)?|disturb)\b",
    rf"\b(make|put|take|leave|write) (a |yourself a )?(note|memo|remark|flag|stop|block)\b.{{0,25}}\b(not to {_CALL}|(do not|don'?t|never|no) {_CALL}|on {_NUMBER})\b",
)

_NO_MORE_CALLS = (
    rf"(?<!n't )(?<!not )(?<!never )(?<!did you )(?<!\bi )(?<!i'll )\b(stop|quit|cease)( it| all| these| those| with| the| your| making| placing| any| further)* ({_ING}|{_CALL}s?|{_CALLS})\b"
    rf"(?! (the|a|an|her|him|them|it|that|about|yourself|names|everything|back|centers?|forwarding) )(?! (me|us) {_NAMES}\b)(?!( {_WE})? {_OTHER_HOURS}\b)",
    r"\b(end|halt|discontinue|put an end to)( with| the| your| making| all| any| further| these)* (calls|phone ?calls|robocalls|contact)\b",
    r"\b(stop|quit) (blowing up|ringing|tying up) (my|our|this) (phone|line|number|cell|mobile)\b|\b(stop|quit) using (my|our|this) (phone )?number\b",
    rf"\brefrain from (ever |any )?(more |further )?({_ING}|{_CALLS})\b{_ANOTHER_TIME}",
    rf"\b(do not|don'?t)( you)? (keep|be|go on|continue)( on)? {_ING}\b{_ANOTHER_TIME}",
    rf"(?<!were )(?<!are )(?<!had )(?<!was )\b(no more|no further|not one more|not a single|not another|zero)( more| further)? (\w+ )?({_CALLS}|call|phone call)\b(?! (came|come|today|got|were|was|after))",
    rf"{_START}no (more )?(sales |cold |marketing )?(calls|phone ?calls)\b|\b((want|prefer|like|wish)( to (get|receive|have))?|rather have) no (more |further )?(\w+ )?(calls|phone ?calls)\b(?! today)",
    rf"\b(enough|done|finished|through|over it|sick|tired|fed up|had it|bored)( and tired)?( already)? (with|of|from|by)( all)?( of)?( getting| receiving)?( the| these| those| your| all)* ({_CALLS})\b",
    rf"\b(done|sick|tired|fed up|had it|had enough)( and tired)? (with|of|from|by) (you(r people)?|people|your company|being) ({_ING}|{_CALLED})\b",
    rf"\b(knock|cut|pack) it (off|out|in) with (the|these|those|your|all the) (\w+ )?({_CALLS})\b",
    r"\b(calls|calling|phone ?calls) (has|have|must|needs?|should|ought|had better|better|got|gotta|will)( got)?( to)? (stop|end|cease)\b|\b(make|want|need|get|like)( these| those| your| the| all)* (\w+ )?calls (to )?(stop|end|cease)\b",
    rf"\b(how|what) (do|can|must|should|would|does|could) (i|we|one)( have to| need to| got to)?( do)?( to)? (stop|end|block|prevent|make) .{{0,20}}\b({_CALLS}|{_ING} (me|us))\b",
    rf"\b(how|what|where) (do|can|must|should|would|does|could) (i|we|one)( have to| need to| got to)?( do)?( to)? ((get|be|come) (off|out of)\b.{{0,20}}{_ROLL}|(get|be) (removed|taken off|deleted)|opt out|unsubscribe)\b",
    rf"\bthere (a|any|some|no) way (to|of|that i can|i can) (stop|block|end|opt|get off|be removed|unsubscribe|get rid)\w*\b.{{0,25}}\b({_CALLS}|out|{_ROLL}|{_ING})\b",
    rf"\b(this|that|it|these)('?s| is| was| will be|'ll be| better be|'d better be| had better be| has to be| must be| should be) (the |your |my )?(very )?last (time|call|phone call)( that| which)? ({_YOU}|anyone|anybody|somebody|(i|we) (will |'ll |want to |am going to )*(hear|get|receive|take|answer|pick|tell|ask|say|warn)|to (me|us|this))\b",
    rf"\b(the|your) last (time|call|phone call) (that )?{_YOU} (ever |will |are going to |'ll )*{_CALL} (me|us|here|this|{_NUMBER})\b|\bmake (this|that|it) (your|the) last (call|time)\b|\blet (this|that) be the last (time|call)\b",
    rf"{_NOT_AN_ORDER}\b{_NO}\b(?! (hesitate|mind|forget|know|think|remember|sure|calls|called|rings|rang|phones|phoned|contacts|contacted)\b)(?! (want|like|wish|mean|try|trying|meaning) to {_CALL})( \w+){{0,4}} {_CALLING}\b{_ANOTHER_TIME}( {_WE})?( back| at| on| up)?.{{0,14}}\b{_AGAIN}\b{_ANOTHER_TIME}",
    rf"{_NOT_AN_ORDER}\b(do not|don'?t|never|not to)( you)?( dare)?( ever){{0,2}}( try to| even)? {_CALL} {_WE}( up)?( (at|on|with) (this number|this|that))?({_END}|,)",
    rf"{_NOT_AN_ORDER}\b(do not|don'?t|never|not to)( you)?( dare)?( ever){{0,2}} {_CALL} {_WE} (for|about|with|to|regarding) (any|sales|marketing|advertis|offers|sell)\w*\b",
    rf"{_NOT_AN_ORDER}\b(do not|don'?t|never)( you)?( ever)? {_CALL} back{_END}",
    rf"{_START}(do not|don'?t|never)( you)?( dare)?( ever){{0,2}} (call|phone|ring|telephone|contact){_END}",
    rf"\b(do not|don'?t|never|stop)( you)?( ever)? (us(e|ing)|try(ing)?|dial(l?ing)?) ({_NUMBER}|me|us)( {_AGAIN})\b{_ANOTHER_TIME}",
    rf"\b(do not|don'?t|never)( ever)? (have|let|get) (anyone|anybody|somebody|someone|your \w+|others?)( else)? {_CALL} {_WE}\b{_ANOTHER_TIME}",
    rf"\b(sure|certain|want|that|so|ensure|it)( that)? (nobody|no ?one) (from \w+ \w+ )?(ever )?{_CALL}s? {_WE}\b{_ANOTHER_TIME}|\b(nobody|no ?one)\b.{{0,25}}\b(should|may|must|is to|is allowed to|needs to)( ever)? {_CALL} {_WE}\b{_ANOTHER_TIME}",
    rf"\b(sure|certain|ensure|see to it)( that)? {_YOU} (never|do not|don'?t|won'?t)( ever)? {_CALL} {_WE}\b{_ANOTHER_TIME}",
    rf"\b(sure|certain|ensure|see to it|want)( that)? (i|we|{_NUMBER}) (never|don'?t|do not|won'?t|no longer|isn'?t|is not|doesn'?t|does not|am not)\b.{{0,25}}\b(call|calls|{_CALLED}|from you)\b{_ANOTHER_TIME}",
    rf"\b(is|are|was|were|am|wish|want|like|prefer|ask(ed)?|asking|request(ed)?) (not|never) to be {_CALLED}\b{_ANOTHER_TIME}|\b(must|should|may|shall)(n'?t| not| never) be {_CALLED}\b{_ANOTHER_TIME}",
    rf"\byou (people |guys |all |lot )?(must|can|may|should|shall|could|ca|need|have to|ought)( not|not|n'?t| never)( to)?( ever)? (be {_ING}|{_CALL}) {_WE}\b{_ANOTHER_TIME}",
    rf"\b(tell|told|ask(ed|ing)?|telling|begg?(ed|ing)?|warn(ed|ing)?|request(ed|ing)?|instruct(ed|ing)?)( to)? {_YOU}( \w+){{0,4}} (not to|never to|do not|don'?t)( ever)? {_CALL}\b{_ANOTHER_TIME}",
    rf"\b(tell|ask|get) {_YOU} to (stop|leave (me|us|this) alone)\b|\bhow many times\b.{{0,25}}\b(say|tell (you|them)|said|told you) (no|to stop|stop)\b",
    r"\bleave (this|my|our) (number|phone|house|family|line) alone\b|\b(call|bother|pester|harass|annoy) (someone|somebody|anyone) else\b",
    rf"{_START}(stay|keep) (off|away from|out of) (my|our|this) (phone|line|number)\b|\bkeep your calls to yourself\b",
    r"\b(i'?ll|i'?m|i will|i am|going to|gonna|have to) (now |be )*block(ing)? (you|your number|this number|this caller)\b",
)

_NO_WISH = (
    rf"\b(do not|don'?t|never|no longer)( ever| really)? (want|wish|wish for|care for)(?! to (?!be|get|receive|have)) (you (to )?|anyone (to )?|anybody (to )?|people (to )?|to be |to get |to receive |to have |being |getting |any )?(\w+ ){{0,2}}{_CALLING}\b{_ANOTHER_TIME}( me| us)?(?! (now|right|at|on|him|her|them|the|it)\b)",
    rf"\b(do not|don'?t|no longer)( really)? (need|like|appreciate|welcome|enjoy) (({_YOU}|being|to be) ({_ING}|{_CALLED})|((any|any more|more|another|further|these|your|such|this|getting) )+(\w+ )?(call|{_CALLS}))\b{_ANOTHER_TIME}",
    r"\b(do not|don'?t|never|cannot|can'?t)( ever)? (want|wish|need|care|like|wanna)( to)? (hear|be hearing) (\w+ )?from (you|your|them|any|anyone|anybody|this)\b",
    r"\b(do not|don'?t|never|better not|had better not|not)( ever)? (let me |make me |to |be )?(hear|hearing) from (you|your company)( guys| people| lot)? (again|any ?more|ever)\b",
    rf"\b(no|zero|any|without|no further) (wish|desire|interest|need|intention)( at all| whatsoever)? (to|in|of|for) (be(ing)?|get(ting)?|receiv(e|ing)|hear(ing)?|tak(e|ing)|hav(e|ing)|your|more|further|any) ?(\w+ ){{0,2}}({_CALLING}|{_CALLS}|from you)\b{_ANOTHER_TIME}",
    rf"\b(rather|prefer|appreciate it if|appreciate if|wish|like it if|grateful if|thankful if|glad if|happy if|better if|nice if|kind if|great if|ask that|request that|demand that|insist that|prefer that) ({_YOU}|nobody|no ?one|i was|i were|i am|not to be)\b.{{0,20}}\b(({_NO}|didn'?t|wouldn'?t|would not|stop|stopped|quit) (\w+ ){{0,2}}|(?<=not to )be ){_CALLING}\b{_ANOTHER_TIME}",
    rf"\b(ask|request|demand|insist) (that )?you (please )?(not|never|do not|don'?t|stop|cease) {_CALLING}\b{_ANOTHER_TIME}",
    rf"\b(want|need|like|ask|asking|beg|begging|telling|expect|urge|advise|require|order) (you|you all|you people|you guys|your company|them|all of you) (to )?(please )?(not|never|stop|quit|cease)( to)?( ever)? {_CALLING}\b{_ANOTHER_TIME}",
    rf"\b(want|like|wish|need|prefer|rather|love)( to)? (not|never|no longer)( to)? (be {_CALLED}|(get|receive|have|hear|take)\b.{{0,20}}\b({_CALLS}|from you))\b{_ANOTHER_TIME}",
    rf"\b(do not|don'?t|never|no longer|not going to|won'?t) (\w+ )?(accept|take|welcome|tolerate|allow|entertain|appreciate|like|want|receive|respond to|do) (\w+ )?(sales|cold|marketing|unsolicited|telemarketing|spam|these|such|your|solicitation|robo|these kinds? of|this kind of|these types? of)[ -](phone )?(calls|solicitations?|calling)\b{_ANOTHER_TIME}",
    rf"({_START}no|\bnot (accepting|taking)|\bdon'?t (accept|allow|want)) (more )?(soliciting|solicitors|solicitations?|telemarket(ing|ers?)|cold call(s|ing|ers?)|sales ?(people|calls?)|marketing calls?|robocalls?)\b",
    r"\b(want|wish|have) nothing (more |else |further )?to do with (you|your company|this company)\b",
)

_NO_CONSENT = (
    rf"\b(do not|don'?t|never|didn'?t|did not|haven'?t|have not|no longer|not) (consent|agree|agreed|give|gave|given|sign|signed|ask|asked|request|requested|consented|authori[sz]ed?|approved?|permit(ted)?|subscribed?|opt in|opted in|opt(ed)? into)\b(?! for a call).{{0,40}}\b(calls?|called|calling|contacted|contact|(permission|consent)(?! (for|to) (the|a|an|any|that|charge|pay|use|share|open|take)\b)|(call|calling|mailing|marketing|your) list)\b{_ANOTHER_TIME}",
    r"\b(revok(e|ed|ing)|withdraw(ing|n)?|withdrew|take back|taking back|cancel|rescind|retract)\b.{0,20}\b(consent|permission|authori[sz]ation)\b",
    rf"\b(not|n't) (allowed|permitted|supposed|authori[sz]ed|welcome|meant) to (be )?{_CALLING}\b{_ANOTHER_TIME}(?! (back|later))",
    rf"\byou (people |guys |all )?((have|had|'ve|'ve got|have got|got) no|(do not|don'?t|never|did not|didn'?t)( even)? (have|had|get|got|ask(ed)? for))( any| my| the| our)?( legal)? (right|permission|consent|business|authority|authori[sz]ation)\b.{{0,12}}{_CALLING}\b{_ANOTHER_TIME}",
    rf"\b({_CALLING}|{_CALLS})\b.{{0,25}}\bwithout (my|our|any|prior) (\w+ )?(consent|permission|authori[sz]ation)\b",
)

_THREAT = (
    rf"(?<!mind )(?<!matter )(?<!happy )(?<!fine )(?<!okay )(?<!ok )(?<!glad )(?<!nice )(?<!great )\bif (you|they|anyone|anybody|somebody|one of you|your (company|people))( guys| people| lot)? (ever |dare |dare to |so much as )*{_CALL}s? {_WE}( one more time| once more| {_AGAIN})\b{_ANOTHER_TIME}(?!.{{0,60}}\b(i (might|may|can|could|would|will have)|i'?ll (have|be|know|answer|pick|talk|let|give|tell|buy)|we (can|could|might)|ask for)\b)",
    rf"\bif (you|they|your (company|people))( guys| people| lot)? (ever |dare |dare to )*{_CALL}.{{0,20}}\b{_AGAIN}\b.{{0,40}}\b(police|cops|report|sue|lawyer|attorney|court|complain|complaint|harass\w*|block|authorities)\b",
    rf"\bif (you|they|your (company|people))( guys| people| lot)? (keep|continue|carry on|keep on|do not stop|don'?t stop|don'?t quit) (to )?{_CALLING}\b",
    rf"\b(call|phone|ring|contact|text) (me|us|here|{_NUMBER}) (again|one more time|once more)( and|, and| or)? (i'?ll|i will|i'?m|we'?ll|we will|you'?ll|you will|i swear)\b.{{0,30}}\b(report|sue|police|complain|complaint|lawyer|attorney|solicitor|court|block|regret|sorry|authorities)\b",
    r"\b(i'?ll|i will|i'?m|i am|we'?ll|we will|going to|gonna|have to|i have|i'?ve|you'?ll be|you will be|want to|just)( now| just| already| seriously| absolutely| be| get)* (report|reporting|reported|sue|suing|sued) (you|your (company|number|firm)|this (number|company|call)|these calls)\b",
    r"\b(file|filing|lodge|lodging|make|making|filed|lodged|put in)( an?)?( formal| official)? complaints?\b.{0,30}\b(ftc|fcc|ofcom|ico|commission|attorney|authorities|regulators?|(about|for|over) (these|your|the|this|unwanted) (\w+ )?calls?|bbb|registry)\b|\breport\w* .{0,20}\bto the (ftc|fcc|ofcom|ico|authorities|regulators?|attorney general|police)\b",
    r"\b(this|that|it|these calls)( all)?('?s| is| are| has become| is called| amounts to| counts as| borders on| is bordering on)( now| just| pure| what i call)? harassment\b|\b(you'?re|you are|you people are|you guys are|you keep)( just| constantly| now)* harassing (me|us|my)\b|\b(report|consider|call|count|treat) (this|it|that|these calls)( as)? harassment\b",
    r"\bhear(ing)? from (my|our) (lawyer|attorney|solicitor)s?\b|\b(take|taking|pursue|start) legal action\b",
    rf"(?<!is it )(?<!it's not )(?<!is not )\b(illegal|unlawful|against the law|breaking the law)\b.{{0,15}}\b({_CALL}|{_CALLING}) {_WE}\b|\b({_CALL} {_WE}|{_ING} (me|us)|(your|these|such) calls)\b.{{0,12}}\b(is|are) (illegal|unlawful|against the law)\b",
)

_GERMAN = (
    r"\bruf(en|t)?( sie| ihr)?( bitte| hier| mich| uns| diese nummer| bei mir| bei uns)* (nie wieder|nie mehr|nicht mehr|nicht wieder|niemals wieder)\b(?! (vor|so|heute|morgen)\b)",
    r"\b(bitte|mich|uns|hier|sie) (\w+ ){0,2}(nie wieder|nie mehr|nicht mehr|nicht wieder)( \w+)? (anrufen|kontaktieren|belästigen)\b|\b(nie wieder|nie mehr|nicht mehr|keinesfalls)( \w+){0,3} (angerufen|kontaktiert|belästigt) werden\b",
    r"\bkeine?n? (weiteren? |werbe|solchen? )?anrufe?( mehr| von ihnen)\b|\bkeine (weiteren |solchen |werbe)anrufe\b|\bkeine (werbe|weiteren )\s?anrufe\b",
    r"\bh(ö|oe)r(en|t)?( sie| ihr)?( bitte| endlich)* auf\b.{0,25}\b(anzurufen|anrufen|zu kontaktieren|zu belästigen)\b",
    r"\b(lösch|streich|entfern)\w*( sie| ihr)?( bitte)? (mich|uns|(meine|unsere|diese) (nummer|telefonnummer|handynummer|daten)|meinen (namen|eintrag))\b",
    r"\b(nehm|nimm|trag)\w*( sie| ihr)?( bitte)? (mich|uns|meine \w+|meinen \w+)\b.{0,10}\b(aus|von) (ihrer|der|eurer|dieser|dem) \w*(liste|kartei|datenbank|verteiler)\b|\b(aus|von) (ihrer|der|eurer|dieser) \w*liste (gestrichen|gelöscht|entfernt|genommen|streichen|löschen|nehmen|entfernen|runter|raus)\b",
    r"\bwiderruf\w*\b.{0,30}\b(einwilligung|zustimmung|einverständnis)\b|\brobinson ?-?liste\b",
)
_SPANISH = (
    r"\bno (me|nos) (vuelva[ns]?|vuelvas) a (llamar|molestar|contactar|marcar)\b|\bno vuelva[ns]? a (llamar|molestar|contactar)(me|nos)?\b",
    r"\bno (me|nos) (llame[ns]?|llames|moleste[ns]?|molestes|contacte[ns]?|marque[ns]?) (más|mas|nunca|jamás|otra vez|de nuevo)\b(?! (tarde|temprano))",
    r"\bno (me|nos) (llame[ns]?|llames|contacte[ns]?)(,? por favor)?[\s.!]*$",
    r"\b(deje[n]?|deja|dejad|pare[n]?) de (llamar|molestar|marcar|contactar|acosar)(me|nos)?\b",
    r"\b(quíte|quite|bórre|borre|elimíne|elimine|sáque|saque|táche|tache|retíre|retire)n?(me|nos)\b.{0,12}\bde (su|la|esta|esa|sus) (\w+ )?(listas?|base|registros?|sistema)\b",
    r"\b(quite|borre|elimine|saque|tache|retire)n? (mi|nuestro|este|mis) (número|nombre|teléfono|datos)\b|\b(dé|de|den|denme|deme|déme)(me|nos)? de baja\b",
    r"\bno (quiero|queremos|deseo) (que (me|nos) (vuelvan a )?(llam|contact|molest)\w+|recibir (más |sus )?llamadas|(más|sus) llamadas)\b(?! (antes|mañana))",
    r"\b(nunca|jamás) (más )?(me|nos) (llame[ns]?|vuelva[ns]? a llamar)\b|\blista robinson\b|\bni una llamada más\b",
)
_FRENCH = (
    r"\b(m'|me |nous )?(appelez|rappelez|téléphonez|contactez|dérangez|appelle|rappelle)(-moi|-nous)? (plus|jamais)\b(?! (tard|tôt|souvent))",
    r"\b(arrêtez|cessez|arrête)( tout de suite)? de (m'|me |nous |toujours )*(appeler|rappeler|téléphoner|contacter|harceler|déranger)\b",
    r"\b(retirez|enlevez|supprimez|effacez|rayez|ôtez|radiez|sortez)(-moi|-nous)\b.{0,20}\b(de|des) (votre|vos|cette|la|ces) (\w+ )?(listes?|fichiers?|base)\b",
    r"\b(retirez|enlevez|supprimez|effacez|rayez|ôtez|radiez|retirer|supprimer|effacer) (mon|notre|ce|mes|nos) (numéro|nom|données|coordonnées)\b",
    r"\bne (veux|souhaite|désire|voulons|voudrais) (plus|pas|plus jamais) (être (r?appelée?s?|contactée?s?|dérangée?s?)|recevoir (d'|vos |ces |de )?appels?|que vous (m'|me |nous )?(r?appeliez|contactiez)|(d'|vos )appels)\b(?! (avant|demain|maintenant|le |ce ))",
    r"^\W*plus (d'appels|aucun appel)\b|\bbloctel\b|\bdésinscri\w+\b",
)


_FAMILIES = (_REMOVAL, _NO_MORE_CALLS, _NO_WISH, _NO_CONSENT, _THREAT, _GERMAN, _SPANISH, _FRENCH)
_OPT_OUT = tuple(re.compile(pattern, re.IGNORECASE) for family in _FAMILIES for pattern in family)


def asks_to_opt_out(text: str) -> bool:
    """Whether the turn asks that this number be never called again. `text` has plain apostrophes."""
    return any(wish.search(text) for wish in _OPT_OUT)
