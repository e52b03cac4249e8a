"""What do people call these columns? Words for phone, name, email, time zone and country in the headers of lists.

Headers are compared in lower case, without accents, signs and digits: "Téléphone (1)" is "telephone".
"""

import re
import unicodedata

_SIGNS = re.compile(r"[\W\d_]+")
# Address books number their columns and add what the column holds: "Phone 1 - Value", "E-mail 1 - Value".
_TAIL = re.compile(r" value$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def plain(header: str) -> str:
    """The header as it is compared.

    >>> plain("E-mail 1 - Value"), plain("Téléphone (1)"), plain("contactName")
    ('e mail', 'telephone', 'contact name')
    """
    words = _CAMEL.sub(" ", unicodedata.normalize("NFKC", header)).lower()
    letters = "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
    return _TAIL.sub("", _SIGNS.sub(" ", unicodedata.normalize("NFC", letters)).strip())


PHONE = {
    word: rank
    for rank, words in enumerate(
        [
            "phone, phone number, phonenumber, phone no, e164, msisdn, number to call, dial",
            "mobile, mobile phone, mobile number, mobile no, cell, cell phone, cellphone, cell number, mobil,"
            " handy, handynummer, mobilnummer, mobiltelefon, portable, telephone portable, movil, celular,"
            " telefono movil, telefono celular, telemovel, cellulare, mobiel, komorka, cep, cep telefonu, gsm, 手机,"
            " 手机号, 手机号码, 手機, 携帯電話, 携帯番号, мобильный, мобильный телефон, جوال",
            "telephone, telephone number, tel, tel no, telefon, telefonnummer, rufnummer, telefonnr,"
            " numero de telephone, telefono, numero de telefono, telefone, numero de telefone, numero di telefono,"
            " telefoon, telefoonnummer, numer telefonu, telefon numarasi, telefonni cislo, puhelin, puhelinnumero,"
            " телефон, номер телефона, номер телефону, τηλεφωνο, 电话, 电话号码, 電話, 電話番号, 전화번호, الهاتف,"
            " رقم الهاتف, טלפון",
            "primary phone, main phone, contact phone, customer phone, contact number, contact no, whatsapp,"
            " whatsapp number, call number",
            "work phone, business phone, office phone, home phone, landline, festnetz, fixe",
        ]
    )
    for word in map(plain, words.split(","))
}
"""Headers of phone columns and their rank: of several, the lowest is dialled."""

PHONE_WORDS = {"phone", "mobile", "cell", "telephone", "tel", "telefon", "telefono", "telefone", "handy", "whatsapp"}
NOT_A_PHONE = {
    "type", "label", "ext", "extension", "country", "carrier", "status", "valid", "validity", "code", "prefix", "model",
    "consent", "opt", "calls", "notes", "note", "owner", "verified", "date", "time", "id",
}  # fmt: skip
"""With one of these a phone word speaks about the phone instead: "Phone type", "Mobile country code"."""

OTHER_NUMBERS = {
    "id", "account", "customer", "client", "order", "invoice", "case", "ticket", "contract", "policy", "member", "fax",
    "telefax", "konto", "kunden", "kundennummer", "rechnung", "vertrag", "siret", "siren", "iban", "vat", "tax", "ssn",
    "zip", "postcode", "amount", "price", "date", "birth",
}  # fmt: skip
"""What stands below such a header may have as many digits as a phone number, and is none to call."""


def _set(words: str) -> frozenset[str]:
    return frozenset(map(plain, words.split(",")))


NAME = _set(
    "name, full name, fullname, contact name, contact, customer name, customer, client name, client, display name,"
    " person, patient, patient name, nombre completo, nome completo, nom complet, nom et prenom, nombre y apellidos,"
    " vollstandiger name, kunde, ansprechpartner, naam, imie i nazwisko, ad soyad, isim, имя, фио, 姓名, 名前, 氏名,"
    " 이름, الاسم, nombre, nome, nom, imie, ad"
)
FIRST_NAME = _set(
    "first name, firstname, first, given name, givenname, forename, vorname, prenom, nombre, nombres, nome, voornaam,"
    " imie, ad, fornamn, fornavn, jmeno, etunimi, имя, 名"
)
MIDDLE_NAME = _set("middle name, middlename, additional name")
LAST_NAME = _set(
    "last name, lastname, last, surname, family name, familyname, nachname, familienname, nom de famille, nom,"
    " apellido, apellidos, cognome, sobrenome, apelido, achternaam, nazwisko, soyad, efternamn, etternavn, efternavn,"
    " prijmeni, sukunimi, фамилия, 姓"
)
EMAIL = _set(
    "email, e mail, mail, email address, e mail address, emailaddress, e mail adresse, email adresse, mailadresse,"
    " adresse email, adresse e mail, adresse mail, courriel, correo, correo electronico, endereco de email,"
    " indirizzo email, e mailadres, eposta, e posta, почта, электронная почта, 邮箱, 电子邮件, メール, 이메일"
)
TIME_ZONE = _set(
    "time zone, timezone, tz, iana time zone, iana timezone, zeitzone, fuseau horaire, zona horaria, huso horario,"
    " fuso horario, fuso orario, tijdzone, strefa czasowa, saat dilimi, часовой пояс, 时区, タイムゾーン"
)
COUNTRY = _set(
    "country, country code, country name, country iso, iso country, iso country code, calling code, dial code,"
    " dialing code, dialling code, country calling code, country dial code, phone country, phone country code,"
    " phone code, mobile country code, land, landercode, landesvorwahl, pays, code pays, indicatif, indicatif pays,"
    " pais, codigo de pais, codigo pais, paese, nazione, prefisso internazionale, landcode, kraj, ulke, ulke kodu,"
    " страна, код страны, 国家, 国, 国家代码, 국가, البلد"
)

KNOWN = PHONE.keys() | NAME | FIRST_NAME | MIDDLE_NAME | LAST_NAME | EMAIL | TIME_ZONE | COUNTRY
