"""English as it is heard, made into English as it is written.

A recogniser gives lower-case words without punctuation; dictionaries expect "I", "Monday", sentences that end, and
forms without apostrophes. Written text keeps its own case and punctuation, only its contractions are expanded.
Number words stay words. This module knows grammar only as far as word lists go, and nothing of translation engines.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import re

_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_MONTHS = "january february april june july september october november december"
_PEOPLES = """
african american arab arabic argentinian asian australian austrian belgian brazilian british bulgarian canadian catalan
chilean chinese christian colombian cuban czech danish dutch egyptian english european finnish french german greek
hungarian indian indonesian irish islamic israeli italian japanese jewish korean latin mexican moroccan muslim norwegian
pakistani peruvian polish portuguese roman romanian russian scottish spanish swedish swiss thai turkish ukrainian
vietnamese welsh catholic protestant americans germans italians mexicans russians europeans christians romans indians
"""
_PLACES = """
africa america argentina asia athens australia austria barcelona belgium berlin bolivia boston brazil brussels bulgaria
california canada catalonia chicago chile colombia cuba denmark dublin ecuador egypt england europe finland
florence florida france geneva germany greece hungary iceland india indonesia ireland israel italy japan kenya
korea lisbon london madrid mexico milan morocco moscow naples nigeria norway oxford pakistan paris peru poland
portugal prague rome romania russia scotland seville spain sweden switzerland texas tokyo ukraine uruguay valencia
venezuela venice vienna vietnam wales washington
"""
_OTHERS = "god christmas easter internet jesus bible"
_PROPER = {word: word.capitalize() for group in (_DAYS, _MONTHS, _PEOPLES, _PLACES, _OTHERS) for word in group.split()}
_TITLES = re.compile(r"\b(mr|mrs|ms|dr|miss|king|queen|saint|professor)\b(\.?) ([a-z]\w+)")
_AMBIGUOUS_MONTHS = re.compile(
    r"\b(in|of|on|last|next|since|until|by|this|early|late) (march|may|august)\b"
    r"(?! (?:be|have|i|you|he|she|it|we|they)\b)"
)

_PRONOUN = "i|you|he|she|it|we|they"
_AUX = "am|is|are|was|were|do|does|did|have|has|had|can|could|will|would|shall|should|may|might|must"
_SUBJECT = rf"(?:{_PRONOUN}|there|this|that|these|those|everyone|everybody|anyone|anybody|someone|any|some)"
_POSSESSED = r"(?:my|your|his|her|its|our|their|the|a|an)"
_OPENER = r"(?:(?:and|but|so|well|okay|ok|oh|hey|now|then|yes|no|or|please|sorry|hello|hi)\b,? )*"
_QUESTION = re.compile(
    rf"{_OPENER}(?:"
    rf"(?:{_AUX}) (?:not )?{_SUBJECT}\b(?! not touch)"
    rf"|(?:is|are|was|were|does|did|can|could|will|would|shall|should|has|am) (?!not\b|the same\b)\w+"
    rf"|do (?:my|your|his|her|our|their|people|all|most|many|both) \w+"
    rf"|(?:what|where|when|why|how|who|whom) (?:{_AUX})\b"
    rf"|how (?:many|much|old|long|far|often|big|tall|fast|soon|well|high|deep|late|do|come|about)\b"
    rf"|what (?:time|kind|sort|colou?r|day|about|else|if|happened|happens|makes|made)\b"
    rf"|(?:which|whose|what) (?!(?:{_PRONOUN})\b)(?:\w+ ){{1,4}}(?:{_AUX})\b"
    rf"|(?:who|whose) (?!{_PRONOUN}\b)\w+"
    rf"|why (?:not|don't)\b"
    rf"|to whom\b)",
    re.IGNORECASE,
)
_NOT_QUESTION = re.compile(
    rf"{_OPENER}(?:do not|had (?:{_PRONOUN}) (?:\w+ed,|.*\b(?:would|might|could))|what (?:a|an|lovely)) ",
    re.IGNORECASE,
)

_PARTICIPLES = """
been become begun bought broken brought built caught chosen come done drawn drunk driven eaten fallen felt fought found
forgotten given gone got gotten grown had heard hidden kept known laid learnt led left lent lost made meant met paid put
read ridden risen run said seen sent set shown slept sold spent spoken stolen stood sung taken taught thought thrown
told understood won worn written
"""
_IS_PARTICIPLE = re.compile(
    rf"(?:(?:not|just|already|never|always|ever|also) )*(?:{'|'.join(_PARTICIPLES.split())}|\w{{2,}}ed)\b"
)
_HAS = re.compile(
    r"(?:(?:not|just|already|never|always) )*(?:been|got|had|become|come|done|gone|taken|seen|made|lost|left|given)\b"
)
_IS_AFTER_NOUN = re.compile(
    r"(?:a|an|the|not|very|too|so|going|here|there|in|on|at|my|your|our|their|really|already|always|never|still"
    r"|\w{2,}ing|been|got|gone)\b"
)
_SUBJECTS_OF_IS = re.compile(
    r"(?:he|she|it|that|this|there|here|what|where|who|how|when|why|everything|everyone|everybody|nothing|nobody|something"
    r"|someone)",
    re.IGNORECASE,
)
_WHOLE = {
    "can't": "cannot", "won't": "will not", "shan't": "shall not", "ain't": "is not", "let's": "let us",
    "gonna": "going to", "wanna": "want to", "gotta": "have got to", "y'all": "you all", "'cause": "because",
    "'em": "them", "'tis": "it is", "'twas": "it was", "lemme": "let me", "gimme": "give me",
}  # fmt: skip
_WHOLE_PATTERN = re.compile(rf"(?<![\w'])(?:{'|'.join(map(re.escape, _WHOLE))})(?![\w'])", re.IGNORECASE)
_NEGATED_QUESTION = re.compile(rf"\b(?:(ca|wo|sha)n't|({_AUX})n't) ({_PRONOUN}|there)\b", re.IGNORECASE)
_SHORT_STEMS = {"ca": "can", "wo": "will", "sha": "shall"}
_ENDINGS = {"'re": "are", "'ve": "have", "'ll": "will", "'m": "am"}


def as_written(text: str) -> str:
    """What a person would have written: `i'm in london` becomes `I am in London.`; expands contractions in any case."""
    straight = text.replace("’", "'").replace("‘", "'")
    expanded = expand(straight)
    return punctuate(recase(expanded)) if is_heard(straight) else expanded


def is_heard(text: str) -> bool:
    """Whether a text looks like a recogniser's: no capital but "I", no sentence mark."""
    return not re.search(r"[.?!;:]", text) and not re.search(r"[A-Z]", re.sub(r"\bI\b", "i", text))


def expand(text: str) -> str:
    """Write contractions out; an `'s` that is a possessive stays."""
    text = _NEGATED_QUESTION.sub(
        lambda m: _like(m[0], f"{_SHORT_STEMS.get((m[1] or '').lower(), m[2] or '')} {m[3]} not"), text
    )
    text = _WHOLE_PATTERN.sub(lambda m: _like(m[0], _WHOLE[m[0].lower()]), text)
    text = re.sub(r"\b(\w+)n't\b", r"\1 not", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(\w+)('re|'ve|'ll|'m)\b", lambda m: f"{m[1]} {_ENDINGS[m[2].lower()]}", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(\w+)'d\b(?= (.*))?", _expand_d, text, flags=re.IGNORECASE)
    return re.sub(r"\b(\w+)'s\b(?= (.*))?", _expand_s, text, flags=re.IGNORECASE)


def recase(text: str) -> str:
    """Capitals for "I", days, months, peoples, well-known places, titled names, and the first letter."""
    text = re.sub(r"[a-z]+", lambda m: _PROPER.get(m[0], m[0]), text)
    text = re.sub(r"\bi\b", "I", text)
    text = _AMBIGUOUS_MONTHS.sub(lambda m: f"{m[1]} {m[2].capitalize()}", text)
    text = _TITLES.sub(lambda m: f"{m[1].capitalize()}{m[2]} {m[3].capitalize()}", text)
    return text[:1].upper() + text[1:]


def punctuate(text: str) -> str:
    """End a sentence that has no end, with a question mark where it is built like a question."""
    bare = text.rstrip(" ,")
    if not re.search(r"\w", bare):
        return text
    if bare[-1] in ".?!…":
        return bare
    return bare + ("?" if is_question(bare) else ".")


def is_question(text: str) -> bool:
    """Whether an English sentence has the word order of a question."""
    return bool(_QUESTION.match(text)) and not _NOT_QUESTION.match(text)


def _expand_d(match: re.Match[str]) -> str:
    after = (match[2] or "").lower()
    had = after.startswith("better") or (_IS_PARTICIPLE.match(after) and not re.match(r"(?:come|run|put)\b", after))
    return f"{match[1]} {'had' if had else 'would'}"


def _expand_s(match: re.Match[str]) -> str:
    after = (match[2] or "").lower()
    if _SUBJECTS_OF_IS.fullmatch(match[1]):
        return f"{match[1]} {'has' if _HAS.match(after) else 'is'}"
    if _IS_AFTER_NOUN.match(after):
        return f"{match[1]} {'has' if _HAS.match(after) else 'is'}"
    return match[0]


def _like(model: str, text: str) -> str:
    """`text` with a capital first letter when `model` has one."""
    return text[:1].upper() + text[1:] if model[:1].isupper() else text
