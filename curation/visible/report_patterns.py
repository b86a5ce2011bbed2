"""What names people, days and places in free text, as patterns in English and some in German, French, Spanish and Italian.

The order matters: what is longer and surer comes first. Measures, doses, levels of vertebrae and stages are no identifiers and are left alone.
"""

from __future__ import annotations

import re

MONTHS = (
    r"(?:jan(?:uary|uar|vier|uari)?|jän(?:ner)?|feb(?:ruary|ruar|ruari)?|f[ée]v(?:rier)?|mar(?:ch|s|zo)?|märz|maart|apr(?:il|ile)?|avr(?:il)?|may|mai|mei|maggio|mayo"
    r"|june?|juni|juin|giugno|junio|july?|juli|juillet|luglio|julio|aug(?:ust|ustus)?|ao[uû]t|agosto|sept?(?:ember|embre|tembre|iembre)?|okt(?:ober)?"
    r"|oct(?:ober|obre|ubre)?|ottobre|nov(?:ember|embre|iembre)?|de[cz](?:ember|embre)?|d[ée]c(?:embre)?|dicembre|diciembre|enero|febrero|febbraio|gennaio|abril)\.?"
)
YEAR = r"(?:1[89]|20)\d\d"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|\.|º)?"
_CAPITAL = r"[A-ZÀ-ÖØ-ÞŁŚŠŽĆČ]"
_NAME = rf"(?:{_CAPITAL}[\w'’-]*\w|{_CAPITAL}\.)"
_NAMES = rf"{_NAME}(?:[ ,]{{1,2}}(?:(?:von|van|de|der|den|di|da|del|la|le|bin|al) )*{_NAME}){{0,3}}"
_STREETS = r"(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|Ln\.?|Drive|Boulevard|Blvd\.?|Court|Square|Way|Place)"
_HOUSES = (
    r"(?:Hospitals?|Clinics?|Klinik(?:um)?|Spital|Krankenhaus|Infirmary|Medical Cent(?:er|re)|Health Cent(?:er|re)|Universit(?:y|ät)|Institute|Practice|Praxis)"
)

_TITLES = r"dr|prof|mr|mrs|ms|miss|herr|frau|hr|fr|mme|dott|dra|sra?|sig|sister|nurse"
_LABELS = (
    r"patient(?:'s)?(?: name)?|name|surname|referr(?:ed|ing)(?: by| physician| doctor)?|reported by|report(?:ing)? (?:physician|radiologist)|signed(?: by)?"
    r"|dictated by|verified by|radiologist|physician|consultant|operator|technologist|radiographer|attending|requested by|cc|cosigned by"
)
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("[EMAIL]", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("[URL]", r"(?:\b(?:https?|ftp)://|\bwww\.)\S+|\bdoi:\s*\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|de|fr|uk|it|es|io)(?:/\S*)?\b"),
    ("[URL]", r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    ("[DATE]", rf"(?<![\d.]){YEAR}[-/.](?:1[0-2]|0?[1-9])[-/.](?:3[01]|[12]\d|0?[1-9])(?:T[\d:.]+Z?)?(?!\d)"),
    ("[DATE]", rf"(?<![\d.])(?:3[01]|[12]\d|0?[1-9])[-/.] ?(?:3[01]|[12]\d|0?[1-9])[-/.] ?(?:{YEAR}|\d\d)(?![\d.]*\d)"),
    ("[DATE]", rf"(?<!\d){YEAR}(?:1[0-2]|0[1-9])(?:3[01]|[12]\d|0[1-9])(?:\d{{4,6}})?(?!\d)"),
    ("[DATE]", rf"(?i:\b{_DAY}[ -]*(?:of |de |di )?{MONTHS}(?:[ ,-]*(?:de |del )?{YEAR}|[ -]'?\d\d)?\b)"),
    ("[DATE]", rf"(?i:\b{MONTHS}[ -]*{_DAY}(?:[ ,-]+{YEAR})?\b)"),
    ("[DATE]", rf"(?i:\b{MONTHS}[ ,-]*(?:of )?{YEAR}\b)"),
    ("[DATE]", rf"(?<![\d.,])\b{YEAR}\b(?![.,]\d| ?(?:ml|mL|mg|g|mm|cm|HU|mAs|cells))"),
    ("[TIME]", r"(?i:\b(?:[01]?\d|2[0-4])[:h][0-5]\d(?::[0-5]\d)?(?:[.,]\d+)?(?: ?[ap]\.?m\b\.?)?(?: ?Uhr)?)|(?i:\b(?:1[0-2]|0?[1-9]) ?[ap]\.?m\b\.?)"),
    ("[TIME]", r"\b[012]?\d\.[0-5]\d ?Uhr\b"),
    ("[ID]", r"(?i:\b(?:MRN|NHS|SSN|PID|pat(?:ient)?[ -]?(?:id|no|nr|number)|acc(?:ession)?(?: ?(?:no|nr|number|#))?|case (?:no|nr|number)|fall-?n(?:umme)?r"
             r"|hospital (?:no|number)|record (?:no|number)|study id|id|insurance (?:no|number)|vers\.?-?nr)\b\.?)[ :#=]*(?=[\w/.-]*\d)[\w/.-]*\w"),
    ("[PHONE]", r"(?<![\w.])(?:\+|00)\d{1,3}(?:[ ./()-]{0,2}\d{1,5}){2,6}|(?<![\w.])\(?0?\d{2,5}\)?[ /-]\d{3,4}[ -]\d{2,4}(?:[ -]\d{2,4})?(?![\w.])"),
    ("[PHONE]", r"(?i:\b(?:tel|phone|telephone|fax|pager|bleep|mobile|ext|beeper|telefon)\b\.?(?: ?(?:no|nr)\.?)?)[ :#]*\+?\d[\d /()-]{2,18}\d"),
    ("[ID]", r"(?<![\w.,])(?!2019-n|(?i:covid))(?=[\w/-]*\d[\w/-]*\d[\w/-]*\d[\w/-]*\d)(?=[\w/-]*[A-Za-z])[A-Za-z0-9]+(?:[/_-][A-Za-z0-9]+)*(?![\w])"),
    ("[ID]", r"(?<![\w.,])\d[\d-]{4,}\d(?![\w.,]*\d)"),
    ("[ADDRESS]", rf"\b\d{{1,5}}[a-z]?,? (?:{_CAPITAL}[\w'’-]+ ){{1,3}}{_STREETS}\b\.?"),
    ("[ADDRESS]", rf"\b{_CAPITAL}[\w-]*(?:straße|strasse|str\.|weg|platz|gasse|allee) ?\d{{1,4}}[a-z]?\b"),
    ("[ADDRESS]", rf"\b(?:via|rue|calle|rua|piazza) (?:(?:de|del|della|du|la|des) )*{_CAPITAL}\w+(?: {_CAPITAL}\w+)*,? ?\d*\b"),
    ("[ADDRESS]", rf"\b(?:[A-Z]{{1,2}}-)?\d{{5}}(?:-\d{{4}})?,? {_CAPITAL}[a-zß-ÿ]+\b|\b{_CAPITAL}[a-z]+, [A-Z]{{2}} \d{{5}}\b"),
    ("[ADDRESS]", r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b"),
    ("[NAME]", rf"\b(?i:{_TITLES})\b\.?(?: (?i:dr|med|prof|h\.? ?c)\b\.?)* {_NAMES}"),
    ("[NAME]", rf"\b(?i:{_LABELS})\b ?[:=] ?{_NAMES}"),
    ("[NAME]", rf"\b{_NAMES},? (?:M\.?D\.?|D\.?O\.?|Ph\.?D\.?|FRCR|MBBS|FACR|R\.?N\.?)(?!\w)"),
    ("[NAME]", rf"\b{_CAPITAL}[\w'-]+\^(?:{_CAPITAL}[\w'-]*\^?)*|\b{_CAPITAL}{{2,}}, {_CAPITAL}[a-zß-ÿ]+\b"),
    ("[PLACE]", rf"\b(?:{_CAPITAL}[\w'’.-]+ (?:of |and )?){{1,4}}{_HOUSES}\b|\b{_HOUSES} (?:of |in )?{_CAPITAL}\w+(?: {_CAPITAL}\w+)*"),
    ("[AGE]", r"\b(?:9\d|1[0-2]\d)(?=[ -]?(?:years?|yrs?|y/?o|jähr|jahre|ans|anni|años|year-old)\b)"),
)  # fmt: skip
PATTERNS = tuple((token, re.compile(pattern)) for token, pattern in _PATTERNS)
TOKENS = frozenset(token for token, _ in PATTERNS)
TOKEN = re.compile("(" + "|".join(re.escape(token) for token in sorted(TOKENS)) + ")")
