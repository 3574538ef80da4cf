"""The words by which people stop and start messages, per language: what holds where the registry has no entry of its own.

A registry entry of kind ``keywords`` replaces those of its language; nobody has to register any for a STOP to be understood.
English words are those that carriers and the FCC name (47 CFR 64.1200(a)(10)); the other languages say the same. Case, accents,
punctuation and emoji need no spelling of their own (``optout.normal``).

*Words that may be order talk* (cancel, end, quit and their like) stand in ``after_offers``: they stop marketing only in answer
to an offer. "Cancel" under a flight update, a code or nothing at all is about the flight.
"""

from typing import Final

from schemas.registry import Keywords

_ENGLISH: Final = Keywords(
    "en",
    stop=("stop", "unsubscribe", "opt out", "optout", "revoke", "remove me", "stop messages", "stop texting me"),
    stop_all=("stop all", "stopall", "unsubscribe all", "opt out all", "stop everything"),
    start=("start", "unstop", "subscribe", "opt in", "optin", "resume"),
    after_offers=("cancel", "cancel all", "end", "quit"),
)
_SPANISH: Final = Keywords(
    "es",
    stop=("alto", "baja", "parar", "pare", "detener", "darme de baja", "no molestar", "desuscribir", "desuscribirme"),
    stop_all=("alto todo", "baja total", "baja de todo", "parar todo", "detener todo"),
    start=("alta", "darme de alta", "iniciar", "reanudar", "suscribir", "suscribirme"),
    after_offers=("cancelar", "cancelar todo", "fin", "terminar"),
)
_HINDI: Final = Keywords(
    "hi",
    stop=("रोकें", "रोको", "रुकें", "रुको", "बंद", "बंद करें", "बंद करो", "सदस्यता समाप्त करें", "स्टॉप"),
    stop_all=("सब रोकें", "सब रोको", "सब बंद", "सब बंद करें", "सब बंद करो", "सभी बंद करें"),
    start=("शुरू", "शुरू करें", "शुरू करो", "चालू करें", "स्टार्ट"),
    after_offers=("रद्द", "रद्द करें", "समाप्त", "समाप्त करें"),
)
_GERMAN: Final = Keywords(
    "de",
    stop=("stopp", "stoppen", "abmelden", "abmeldung", "abbestellen", "abbestellung", "austragen", "keine werbung"),
    stop_all=("stopp alles", "alles stoppen", "alles abmelden", "alles abbestellen", "stop alles"),
    start=("starten", "anmelden", "abonnieren", "fortsetzen"),
    after_offers=("abbrechen", "beenden", "ende", "kündigen"),
)
_FRENCH: Final = Keywords(
    "fr",
    stop=("arrêt", "arrêter", "arrêtez", "désabonner", "me désabonner", "désinscrire", "désinscription"),
    stop_all=("arrêt total", "tout arrêter", "arrêtez tout", "stop tout"),
    start=("démarrer", "reprendre", "s'abonner", "m'abonner", "réactiver"),
    after_offers=("annuler", "fin", "résilier", "terminer"),
)
_PORTUGUESE: Final = Keywords(
    "pt",
    stop=("parar", "pare", "sair", "descadastrar", "descadastre", "remover", "não perturbe"),
    stop_all=("parar tudo", "pare tudo", "sair de tudo", "remover tudo"),
    start=("iniciar", "começar", "voltar", "assinar", "retomar"),
    after_offers=("cancelar", "cancelar tudo", "fim", "encerrar"),
)
_ITALIAN: Final = Keywords(
    "it",
    stop=("ferma", "fermare", "basta", "disiscrivi", "disiscrivimi", "cancellami", "disiscrizione"),
    stop_all=("ferma tutto", "basta tutto", "stop tutto"),
    start=("inizia", "avvia", "riprendi", "iscrivi", "iscrivimi"),
    after_offers=("annulla", "annullare", "cancella", "fine", "termina"),
)
_ARABIC: Final = Keywords(
    "ar",
    stop=("إيقاف", "أوقف", "أوقفوا", "توقف", "قف", "إلغاء الاشتراك", "ألغ الاشتراك", "ستوب"),
    stop_all=("إيقاف الكل", "أوقف الكل", "إيقاف الجميع", "إلغاء الكل"),
    start=("ابدأ", "بدء", "اشتراك", "اشترك", "تفعيل"),
    after_offers=("إلغاء", "ألغ", "إنهاء"),
)
_INDONESIAN: Final = Keywords(
    "id",
    stop=("berhenti", "hentikan", "setop", "stop langganan", "berhenti berlangganan", "keluar"),
    stop_all=("berhenti semua", "hentikan semua", "stop semua"),
    start=("mulai", "lanjut", "lanjutkan", "langganan", "berlangganan"),
    after_offers=("batal", "batalkan", "selesai", "akhiri"),
)

KEYWORDS: Final = {
    entry.id: entry
    for entry in (
        _ENGLISH,
        _SPANISH,
        _HINDI,
        _GERMAN,
        _FRENCH,
        _PORTUGUESE,
        _ITALIAN,
        _ARABIC,
        _INDONESIAN,
    )
}
"""By language."""
