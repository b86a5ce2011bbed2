"""Names of scanner models that may stay: a name is kept when every word of it is a model word, so no sentence and no person passes."""

from __future__ import annotations

import re

MAX_NUMBER_DIGITS = 4
MODEL_WORDS = frozenset({
    # Siemens
    "SOMATOM", "DEFINITION", "FLASH", "EDGE", "FORCE", "DRIVE", "SENSATION", "EMOTION", "PERSPECTIVE", "GO", "TOP", "UP", "ALL", "NOW", "SCOPE", "NAEOTOM",
    "ALPHA", "MAGNETOM", "AERA", "AVANTO", "SKYRA", "PRISMA", "PRISMAFIT", "PRISMA_FIT", "TRIO", "TRIOTIM", "VERIO", "VIDA", "SOLA", "ESPREE", "ESSENZA",
    "SYMPHONY", "SYMPHONYTIM", "SONATA", "HARMONY", "AMIRA", "LUMINA", "ALTEA", "TERRA", "SPECTRA", "ALLEGRA", "BIOGRAPH", "MCT", "MMR", "VISION", "TRUEPOINT",
    "HOREZON", "AS", "AXIOM", "ARISTOS", "YSIO", "MULTIX", "FLUOROSPOT", "COMPACT", "MAMMOMAT", "INSPIRATION", "REVELATION", "FIT", "TIM", "XCEED",
    # GE
    "LIGHTSPEED", "VCT", "ULTRA", "PRO", "PLUS", "QX", "RT", "DISCOVERY", "CT", "HD", "REVOLUTION", "EVO", "APEX", "FRONTIER", "MAXIMA", "OPTIMA",
    "BRIGHTSPEED",
    "HISPEED", "SIGNA", "EXCITE", "HDX", "HDXT", "ARCHITECT", "PREMIER", "PIONEER", "ARTIST", "VOYAGER", "EXPLORER", "CREATOR", "GENESIS", "MR", "ADVANCE",
    "STE", "ST", "LS", "DEFINIUM", "SENOGRAPHE", "ESSENTIAL", "PRISTINA", "DS", "LOGIQ", "VIVID", "VOLUSON", "XR", "MI", "IQ", "INFINIA", "MILLENNIUM",
    # Philips
    "BRILLIANCE", "ICT", "INGENUITY", "IQON", "SPECTRAL", "GEMINI", "TF", "BIG", "BORE", "MX", "INGENIA", "AMBITION", "ELITION", "ACHIEVA", "DSTREAM", "INTERA",
    "PANORAMA", "MULTIVA", "DIGITAL", "DIAGNOST", "DIGITALDIAGNOST", "AFFINITI", "EPIQ", "CX", "IU", "HDI", "ALLURA", "XPER", "VEREOS", "PET", "TOMO",
    # Canon, Toshiba, Hitachi, Fujifilm, United Imaging, Hologic, Agfa, Carestream, others
    "AQUILION", "ONE", "PRIME", "LB", "PRECISION", "LIGHTNING", "ASTEION", "VANTAGE", "TITAN", "ATLAS", "ELAN", "GALAN", "ORIAN", "APLIO",
    "SUPRIA", "SCENARIA", "ECHELON", "OASIS", "AIRIS", "APERTO", "FCR", "XG", "FDR", "VISIO", "UMR", "UCT", "UMI", "SELENIA", "DIMENSIONS", "3DIMENSIONS",
    "LORAD", "HORIZON", "DX", "DRX", "DIRECTVIEW", "CR", "DR", "XE", "NX", "MOBILE", "PORTABLE", "SYSTEM", "S", "X", "T", "TX", "XT", "P", "E", "H",
    "HE", "SE", "XL", "TM", "SP", "II", "III", "IV",
})  # fmt: skip


def known_model(text: str) -> str | None:
    """Return a model's name when each of its words is a model word or a short number, else None."""
    words = [word for word in re.split(r"[\s,/()+.-]+", text.strip().upper()) if word]
    is_known = bool(words) and all(word in MODEL_WORDS or re.fullmatch(rf"[0-9]{{1,{MAX_NUMBER_DIGITS}}}T?", word) for word in words)
    has_name = any(word in MODEL_WORDS and len(word) > 2 for word in words)
    return " ".join(words)[:64] if is_known and has_name else None
