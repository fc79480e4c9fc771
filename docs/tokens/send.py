"""Sends mail with the token of the pod's service account, by smtplib."""
import os
import smtplib
import ssl
from email.message import EmailMessage

message = EmailMessage()
message["From"] = "Shop <orders@shop.example.org>"
message["To"] = "someone@example.com"
message["Subject"] = "Your order"
message.set_content("It is on its way.\n")

# The kubelet renews the token, so it is read for each connection.
with open(os.environ["MAIL_TOKEN"], encoding="ascii") as file:
    token = file.read().strip()


def bearer(challenge=None):
    # A challenge tells of a refusal, and wants this answer before the server says so (RFC 7628 section 3.2.3).
    return "\x01" if challenge else f"n,,\x01auth=Bearer {token}\x01\x01"


with smtplib.SMTP(os.environ["MAIL_HOST"], int(os.environ["MAIL_PORT"]), timeout=60) as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile=os.environ["MAIL_CA"]))
    smtp.ehlo()
    smtp.auth("OAUTHBEARER", bearer)
    smtp.send_message(message)
