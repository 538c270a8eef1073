"""A word in, what it sounds like from its last stressed vowel on, by the rules of English spelling. Knows no lines."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from collapsecli.rhymes.irregular import IRREGULAR

_LETTERS: Final = re.compile(r"[a-z](?:.*[a-z])?", re.DOTALL)


def rhymes(one: str, other: str) -> bool:
    """Whether two different words sound the same from their last stressed vowel on, as far as their spelling tells.

    Words of one sound rhyme (sea, see), a word and its compound too (day, today).
    """
    return plain(one) != plain(other) and not sounds(one).isdisjoint(sounds(other))


@lru_cache(maxsize=4096)
def sounds(word: str) -> frozenset[str]:
    """What a word sounds like from its stressed vowel on: several where it is read in two ways, none without a vowel.

    The last vowel is stressed, but endings such as -ing, -er or -ly are weak: the stress is before them. The y of a
    word of three syllables or more is stressed too, as verse takes it (memory, free).
    """
    spelled = plain(word)
    return _irregular(spelled) or frozenset(filter(None, [_from_stress(_sounds(spelled))]))


def plain(text: str) -> str:
    """From its first letter to its last, of a to z, in lower case, with straight apostrophes and without accents."""
    folded = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    letters = _LETTERS.search("".join(character for character in folded if not unicodedata.combining(character)))
    return letters[0] if letters else ""


# ----------------------------------------------------------------------------------------------------------- rules

# Sounds stand with spaces between them: vowels in capitals, and weak ones behind an @. What the plural and the past add
# depends on the sound before them: -S and -D.


def _rules(*rules: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(spelling), said) for spelling, said in rules)


# What makes the vowel before it long: a silent e, or an ending in its place.
_LONG: Final = (
    r"(?=(?:[bcdfgklmnpqstvz]|th)(?:e[sd]?|ely|eless|eful|ings?)$|(?:[bcdfgklmnpqstz]|(?<!i)v)ers?$"
    r"|[bcdfgklmnpqstvz](?:i?est|y|ier|ily|iness)$|[bdfgpt]le[sd]?$)"
)
_SILENT: Final = r"e(?=[sd]?$|ly$|ful$|less$|ness$)"

# At each place of a word the first rule that fits. While there was no vowel:
_FIRST_VOWEL = _rules(
    (r"eye(?=[sd]?$)|(?<=[a-z])ye(?=[sd]?$)|ie(?=[sd]?$)|y(?=s?$|ing)|i(?=$|'|[aou]|ers?$|et)", "AY"),
    (r"e(?=$|'|ing)", "IY"),
    (r"o(?=$|em|et|ing)|oh$", "OW"),
)

# Behind a vowel: endings, all of them weak but the first.
_ENDINGS = _rules(
    (r"(?<=if)y(?=$|ing$)|ye$", "AY"),
    (r"[ct]ien(?=ts?$|ce$)", "sh @U n"),
    (r"i(?=(?:al|an|on|um|a|or|ent|ence)s?$)", "@IY"),
    (r"i?er(?=s?$|ed$|ing$|y$|ness$|less$)|(?:ar|or|our|yr)(?=s?$)", "@ER"),
    (r"ward(?=s?$)", "w @ER d"),
    (r"(?<=[aeiou])sion(?=s?$)", "zh @U n"),
    (r"(?:[tc]i|s?si|[st]hi)on(?=s?$)|cian(?=s?$)", "sh @U n"),
    (r"[ct]ious$", "sh @U s"),
    (r"ture(?=[sd]?$)", "ch @ER"),
    (r"(?<=[aes])sure(?=[sd]?$)", "zh @ER"),
    (r"[ie]?ous$", "@U s"),
    (r"(?:en|on|an)(?=s?$|ed$|ing$)", "@U n"),
    (r"(?:al|el|il|ol)(?=s?$|ly$|ed$|ing$|ness$)|(?<=[^aeiouwylr])le(?=[sd]?$)", "@U l"),
    (r"[eou]m(?=s?$)", "@U m"),
    (r"ness$", "n @E s"),
    (r"less$", "l @E s"),
    (r"ful$", "f @U l"),
    (r"[ae]nt(?=s?$|ly$)", "@E n t"),
    (r"[ea]nce(?=[sd]?$)", "@E n s"),
    (r"age(?=[sd]?$)", "@I j"),
    (r"(?<=[^aeiou])i?est$", "@E s t"),
    (r"(?<=[ciklnorv])et(?=s?$)", "@E t"),
    (r"(?<=[bdrs])it(?=s?$|ed$|ing$)|(?<=m)it(?=ed$|ing$)", "@I t"),
    (r"(?<=[cst])ive(?=s?$)", "@I v"),
    (r"(?<=t)ice(?=[sd]?$)|(?<=rv)ice(?=[sd]?$)", "@I s"),
    (r"(?<=[cgm])ine(?=[sd]?$)", "@I n"),
    (r"[ai]ble$", "@I b @U l"),
    (r"ish$", "@I sh"),
    (r"ics?$", "@I k"),
    (r"id$", "@I d"),
    (r"some$", "s @U m"),
    (r"(?<=[ln][dl])ow(?=s?$)|(?<=rr)ow(?=s?$)|(?<=ad)ow(?=s?$)", "@OW"),
    (r"ing(?=s?$)", "@I ng"),
    (r"i(?=e[sd]$)|ey$|y$|ie$|i$", "@IY"),
    (r"ed$|(?<=e)d$", "-D"),
    (r"e?'?s$(?<!ss)(?<![bcdfghlmnpr][aiou]s)", "-S"),
    (_SILENT, ""),
    (r"a(?=s?$)", "@A"),
)

# Anywhere, after those.
_ANYWHERE = _rules(
    (r"que(?=[sd]?$)", "k"),
    (r"qu", "k w"),
    (r"gu(?=[eiy])", "g"),
    # vowels before r
    (r"eigh", "EY"),
    (rf"air|eir|ar{_SILENT}|ar(?=ing$|y$)|(?<=wh)ere", "AIR"),
    (r"ear(?=[cdlnt])", "ER"),
    (rf"eer|ear|ier(?=c)|er{_SILENT}", "EER"),
    (rf"ir{_SILENT}|ir(?=ing$)|yre|iar|igher(?=s?$)", "AY @ER"),
    (r"ower", "AW @ER"),
    (rf"ur{_SILENT}|ur(?=ing$)", "UW r"),
    (r"arr(?=[aiouy])", "A r"),
    (r"err(?=[iouy])", "E r"),
    (r"urr(?=[aouy]|ie)", "U r"),
    (rf"oar|oor|or{_SILENT}|our|or|(?<=w)ar(?=[^aeiou]|$)", "OR"),
    (r"arr?(?=[^aeiouyr]|$|e[dr]|ing)", "AR"),
    (r"[eiuy]rr?(?=[^aeiouyr]|$|e[dr]|ing)", "ER"),
    # vowels of several letters
    (r"igh|uy|i(?=nd(?:s|ed|ings?|ly|ness)?$|ld(?:s|er|est|ly)?$|gn(?:s|ed|ing|er)?$)", "AY"),
    (r"augh|ough(?=t)|au|aw|al(?=k)|a(?=l[dt]|ll(?:s|ed|ing|en|er)?$)", "AO"),
    (r"ough|eau|oa|oe|ou(?=l[dt])|o(?=l[dkt]|ll(?:s|ed|ing)?$|sts?$|[klpsvz]en|gue|[cst]i[ao])", "OW"),
    (r"ea(?=t(?:ion|ive|or))", "IY EY"),
    (r"ea(?=d|th(?![ei])|lth|ther|ven|vy|sure|pon)", "E"),
    (r"iew", "UW"),
    (r"ee|ea|ie|(?<=c)ei|i(?=gue|que)", "IY"),
    (r"ai|ay|ei|ey|a(?=nge|[kv]en|gue|ste(?:s|$)|[cst]i[ao])", "EY"),
    (r"oi|oy", "OY"),
    (r"ow(?=ls?$|l(?:ed|ing)$|d(?:s|ed|ing|er)?$|el|se)|(?<=[dgt])ow(?=n)|(?<=[bcdf]r)ow(?=n)|(?<=cl)ow(?=n)", "AW"),
    (r"ow", "OW"),
    (r"oo(?=k)|(?<=[ghtw])oo(?=d)", "UH"),
    (r"oo|ew|eu|ui|ue", "UW"),
    (r"ou", "AW"),
    # vowels of one letter
    (r"a" + _LONG, "EY"),
    (r"e(?=[bcdfgklmnpstvz]e[sd]?$)", "IY"),
    (r"[iy]" + _LONG, "AY"),
    (r"o" + _LONG + r"|o$", "OW"),
    (r"u" + _LONG + r"|u(?=$|[cst]i[ao])", "UW"),
    (r"(?<=w)a(?=nt|nd|s[hp]|tch)", "O"),
    (r"a", "A"),
    (r"e", "E"),
    (r"[iy](?![aeiou])|i", "I"),
    (r"o", "O"),
    (r"u", "U"),
    # consonants
    (r"tch|ch", "ch"),
    (r"sh", "sh"),
    (r"th", "th"),
    (r"ph", "f"),
    (r"^kn|^gn|gn(?=s?$|ed$|ing$|er$)", "n"),
    (r"^wr", "r"),
    (r"mb(?=s?$|ed$|ing$)|mn(?=s?$)", "m"),
    (r"bt", "t"),
    (r"st(?=le|en(?:s|ed|ing)?$)|sc(?=[eiy])|c(?=[eiy])", "s"),
    (r"ng(?=e[sd]?$)", "n j"),
    (r"ng", "ng"),
    (r"n(?=k)", "ng"),
    (r"dg|g(?=[eiy])", "j"),
    (r"ck|q|c", "k"),
    (r"x", "k s"),
    (r"(?<!ou)(?<!oo)(?<![^eu]a)(?<=[aeiouw])s(?=e[srd]?$|ing$)", "z"),
    (r"([bdfgjklmnprstvz])\1?", r"\1"),
)

# -------------------------------------------------------------------------------------------------------- sounding

_HISSING: Final = ("s", "z", "sh", "ch", "j")
_VOICELESS: Final = ("p", "t", "k", "f", "th", "s", "sh", "ch")

# Of irregular words: the ending, what stands in its place in the plain word, and its sound.
_INFLECTIONS: Final = (
    ("ies", "y", "-S"),
    ("ied", "y", "-D"),
    ("'s", "", "-S"),
    ("'ll", "", "l"),
    ("'ve", "", "v"),
    ("'d", "", "d"),
    ("s", "", "-S"),
    ("ches", "ch", "-S"),
    ("shes", "sh", "-S"),
    ("ed", "", "-D"),
    ("ed", "e", "-D"),
    ("ing", "", "I ng"),
    ("ing", "e", "I ng"),
    ("er", "", "ER"),
    ("er", "e", "ER"),
    ("ers", "", "ER z"),
    ("ers", "e", "ER z"),
    ("est", "", "E s t"),
    ("ly", "", "l IY"),
    ("ness", "", "n E s"),
    ("less", "", "l E s"),
)
_SHORTEST_INFLECTED: Final = 3  # letters: "toes" is not of "to"


def _by_word() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for said, words in IRREGULAR.items():
        for word in words.split():
            found[word] = found.get(word, frozenset()) | {said}
    return found


_BY_WORD: Final = _by_word()


def _irregular(word: str) -> frozenset[str]:
    """The sounds of an irregular word or of a form of one; none for any other word."""
    if word in _BY_WORD:
        return _BY_WORD[word]
    for ending, replaced, said in _INFLECTIONS:
        stem = word.removesuffix(ending) + replaced
        if word.endswith(ending) and len(stem) >= _SHORTEST_INFLECTED and stem in _BY_WORD:
            return frozenset(_joined(_settled(f"{stressed} {said}".split())) for stressed in _BY_WORD[stem])
    return frozenset()


def _sounds(word: str) -> list[str]:
    """The sounds of a whole regular word. Letters that no rule knows are silent."""
    found: list[str] = []
    at = 0
    while at < len(word):
        rules = _ENDINGS if any(map(_is_vowel, found)) else _FIRST_VOWEL
        for spelling, said in (*rules, *_ANYWHERE):
            if match := spelling.match(word, at):
                found += match.expand(said).split()
                at = match.end()
                break
        else:
            at += 1
    return _settled(found)


def _settled(found: list[str]) -> list[str]:
    """With the plural and the past as they are said after the sound before them; double consonants are one."""
    settled = [""]
    for sound in found:
        before = settled[-1]
        if sound == "-S":
            settled += ["@I", "z"] if before in _HISSING else ["s" if before in _VOICELESS else "z"]
        elif sound == "-D":
            settled += ["@I", "d"] if before in ("t", "d") else ["t" if before in _VOICELESS else "d"]
        elif sound != before:
            settled.append(sound)
    return settled[1:]


def _from_stress(found: list[str]) -> str:
    """The sounds from the last stressed vowel on; "" where there is no vowel."""
    vowels = [place for place, sound in enumerate(found) if _is_vowel(sound)]
    if not vowels:
        return ""
    strong = [place for place in vowels if not found[place].startswith("@")]
    is_promoted = len(vowels) > 2 and found[vowels[-1]] == "@IY"
    return _joined(found[vowels[-1] if is_promoted or not strong else strong[-1] :])


def _joined(found: list[str]) -> str:
    return " ".join(found).replace("@", "")


def _is_vowel(sound: str) -> bool:
    return sound.lstrip("@").isupper() and not sound.startswith("-")
