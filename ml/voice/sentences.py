"""Sentences that a synthetic voice speaks so that its own sound can be measured.

Three for each language, everyday words, all vowels and most consonants of the language. A language without sentences
of its own is given names, numbers and international words, which every voice can read. Nothing here is ever played.
"""

from __future__ import annotations

_SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "The white ship reached the harbour just as the morning fog began to lift.",
        "I would like to know how much the ticket costs and when the next train leaves.",
        "Last night my sister cooked some fish with rice and a salad of fresh tomatoes.",
    ),
    "es": (
        "El barco blanco llegó al puerto cuando la niebla empezaba a levantarse.",
        "Me gustaría saber cuánto cuesta el billete y a qué hora sale el próximo tren.",
        "Ayer por la noche, mi hermana cocinó pescado con arroz y una ensalada de tomates.",
    ),
    "fr": (
        "Le bateau blanc est entré au port quand le brouillard commençait à se lever.",
        "Je voudrais savoir combien coûte le billet et à quelle heure part le prochain train.",
        "Hier soir, ma sœur a préparé du poisson avec du riz et une bonne salade de tomates.",
    ),
    "it": (
        "La nave bianca è arrivata in porto quando la nebbia cominciava ad alzarsi.",
        "Vorrei sapere quanto costa il biglietto e a che ora parte il prossimo treno.",
        "Ieri sera mia sorella ha cucinato del pesce con il riso e un'insalata di pomodori.",
    ),
    "pt": (
        "O barco branco chegou ao porto quando o nevoeiro começava a levantar.",
        "Gostaria de saber quanto custa o bilhete e a que horas parte o próximo trem.",
        "Ontem à noite, a minha irmã cozinhou peixe com arroz e uma salada de tomates.",
    ),
    "ca": (
        "El vaixell blanc va arribar al port quan la boira començava a aixecar-se.",
        "M'agradaria saber quant costa el bitllet i a quina hora surt el proper tren.",
        "Ahir al vespre la meva germana va cuinar peix amb arròs i una amanida de tomàquets.",
    ),
}

_ANY = (
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "Maria, Anna, Peter, Paul, Sofia, Daniel, Eva, Victor, Laura, Simon",
    "21 37 48 56 64 73 89 95 100 1000",
)


def sentences_for(language: str) -> tuple[str, ...]:
    """Three texts that a voice of this language (ISO 639-1, a region may follow) can read."""
    return _SENTENCES.get(language.lower().partition("-")[0].partition("_")[0], _ANY)


_PASSAGES: dict[str, tuple[str, ...]] = {
    "en": (
        "On a cold morning in March, two brothers pushed their small boat into the river and rowed toward the mill.",
        "The older one wore a thick yellow jumper; the younger had forgotten his gloves, and blew on his fingers.",
        "Do you think the bridge will hold, he asked, or shall we wait until the judge has measured it?",
        "Nobody answered. A thousand geese rose from the reeds, turned over the chapel, and vanished southward.",
        "They had bread, cheese, five ripe pears and a jar of plum jam, which is plenty for a short voyage.",
        "By noon the sun was out, the ice was gone from the oars, and the whole valley smelled of wet earth.",
        "What a pleasure it is, the elder brother said, to have nothing to do but to watch the water go by!",
    ),
}


def passage_for(language: str) -> tuple[str, ...]:
    """Sentences for a person to read aloud, half a minute or more; in English, with every sound of it several times.

    Languages without a passage of their own have the sentences that synthetic voices speak.
    """
    short = language.lower().partition("-")[0].partition("_")[0]
    return _PASSAGES.get(short) or _SENTENCES.get(short) or _PASSAGES["en"]
