"""Which words of a sentence are denied: "avoid white", "shoulders are not worth it", "cotton rather than silk".

Negation is read from its cues and their scope, after NegEx (Chapman et al. 2001, doi:10.1006/jbin.2001.1029): a cue before what
it denies reaches to the end of its clause, a denied verb denies its whole clause. A number's bound ("no more than 5 cm") is no
negation; `inference.chat.quantities` reads it.
"""

from __future__ import annotations

import re

from inference.chat.content_words import content_words, same_word, stem

_BOUND = re.compile(
    r"\b(?:no|not|never) (?:\w+ ){0,2}?(?:more|less|fewer|\w+er) than\b|\bnot only\b|\bno later than\b"
    r"|\b(?:not|never|don['\u2019]t|no)\b[\w\u00b0 ]{0,30}?\b(?:above|over|below|under|exceed\w*|than)(?= (?:about )?-?\d)"
)
_CLAUSES = re.compile(
    r"\s*[,.;:!?()\u2014]\s*"
    r"|\s+(?=(?:but|because|since|so|unless|while|whereas|when|if|although|though|which|who|before|until)\b)"
    r"|\s+(?=(?:and|or) (?:do not|don't|not|never|no|avoid|without|hardly)\b)"
)
_WHOLE = re.compile(
    r"\b(?:not|never|cannot|hardly|seldom|rarely|\w+n't|\w+n\u2019t|unsuitable|unwise|wrong|forbidden|banned|inappropriate"
    r"|(?:bad|poor|wrong) (?:idea|choice)|a mistake|mistaken|leave\b.*\bat home|out of place|off limits"
    r"|need not|useless|harmful)\b"
)
_FORWARD = re.compile(
    r"\b(?:no|without|avoid(?:s|ed|ing)?|nothing|none|nor|neither|refrain(?:ing)? from|instead of|rather than|skip(?:ping)?|ban"
    r"|stay away from|keep away from|steer clear of|stop|unless)\b"
)
_NO_LISTS = ("instead of", "rather than", "unless")
_LISTED = re.compile(r"\b(?:and|or)\b")
_MAX_ITEM_WORDS = 8
_MAX_LABEL_WORDS = 4


def denial_count(text: str) -> int:
    """Number of negations in a sentence, those of bounds included."""
    return len(_WHOLE.findall(text.lower())) + len(_FORWARD.findall(text.lower()))


def clause_polarities(text: str) -> list[dict[str, bool]]:
    """For each clause the stems of its content words, and whether they are denied."""
    plain = _BOUND.sub(" ", text.lower())
    label, colon, listed = plain.partition(":")
    if colon and len(label.split()) <= _MAX_LABEL_WORDS and denial_count(label):
        return [_marked(listed, True)]  # "Not worth it: shoulders, the rise of trousers."
    found = []
    items = 0  # of a list of denied things that is not yet at its end
    for clause in (part for part in _CLAUSES.split(plain) if part):
        denied = len(_WHOLE.findall(clause)) % 2 == 1
        cue = _FORWARD.search(clause)
        before, behind = (clause[: cue.start()], clause[cue.end() :]) if cue else (clause, "")
        # "Avoid white, ivory and champagne" denies all three; "avoid white, and wear navy" one.
        goes_on = items > (1 if clause.startswith("and ") else 0) and len(clause.split()) <= _MAX_ITEM_WORDS
        in_list = goes_on and cue is None and not denied
        found.append(_marked(before, denied or in_list) | _marked(behind, cue is not None and not denied))
        begins = denied or (cue is not None and cue[0] not in _NO_LISTS)
        items = items + 1 if in_list else int(begins)
        if _LISTED.search(behind or clause):
            items = 0
    return [clause for clause in found if clause]


def polarity_differs(claim: str, source: str) -> bool:
    """Whether one denies what the other affirms.

    Either a word that the source has with the other polarity only, or a clause whose nearest clause of the source, that with
    most of its words, has one of them with the other polarity.
    """
    ours, theirs = clause_polarities(claim), clause_polarities(source)
    for word in {word for clause in ours for word in clause}:
        said = {clause[word] for clause in ours if word in clause}
        held = {denied for clause in theirs for twin, denied in clause.items() if same_word(word, twin)}
        if held and said.isdisjoint(held):
            return True
    for clause in ours:
        shared = [_shared(clause, other) for other in theirs]
        most = max(map(len, shared), default=0)
        nearest = [pairs for pairs in shared if len(pairs) == most]
        if most and all(any(mine != other for mine, other in pairs) for pairs in nearest):
            return True
    return False


def _shared(ours: dict[str, bool], theirs: dict[str, bool]) -> list[tuple[bool, bool]]:
    return [(denied, other) for word, denied in ours.items() for twin, other in theirs.items() if same_word(word, twin)]


def _marked(text: str, denied: bool) -> dict[str, bool]:
    return {stem(word): denied for word in content_words(text)}
