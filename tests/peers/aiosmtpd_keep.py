"""Keeps mail by aiosmtpd as the relay's sink does: aiosmtpd_keep.py HOST PORT REFUSED-DOMAIN FOLDER [CHAIN KEY [USER PASSWORD]]

With CHAIN and KEY it takes mail under STARTTLS alone; with USER and PASSWORD, from this user alone.
"""
import datetime
import json
import pathlib
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

host, port, refused, folder, *more = sys.argv[1:]
secure = {}
if more:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*more[:2])
    secure = {"tls_context": context, "require_starttls": True}
if more[2:]:
    user, password = (text.encode() for text in more[2:])

    def authenticator(server, session, envelope, mechanism, login):
        return AuthResult(success=(login.login, login.password) == (user, password))

    secure |= {"authenticator": authenticator, "auth_required": True}


class Keep:
    """Each message as N.eml, and its envelope as N.json when it is whole."""

    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.endswith("@" + refused):
            return "550 5.1.1 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        base = pathlib.Path(folder, str(self.count))
        base.with_suffix(".eml").write_bytes(envelope.content)
        kept = {
            "receivedAt": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "client": "{}:{}".format(*session.peer),
            "helo": session.host_name,
            # The null sender comes with its brackets.
            "sender": (envelope.mail_from or "").removeprefix("<>"),
            "recipients": envelope.rcpt_tos,
            "eightBit": "BODY=8BITMIME" in [option.upper() for option in envelope.mail_options],
        }
        new = base.with_suffix(".new")
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.rename(base.with_suffix(".json"))
        return "250 2.0.0 kept"


Controller(
    Keep(), hostname=host, port=int(port), enable_SMTPUTF8=True, decode_data=False, data_size_limit=50 << 20, **secure
).start()
threading.Event().wait()
