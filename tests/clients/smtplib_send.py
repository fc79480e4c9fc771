"""Sends letters on one connection with Python's smtplib: smtplib_send.py JOB. src/clients.rs says what a job is."""
import json
import smtplib
import ssl
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
with smtplib.SMTP(job["host"], job["port"], timeout=60) as smtp:
    if job["authority"]:
        smtp.starttls(context=ssl.create_default_context(cafile=job["authority"]))
    smtp.ehlo()
    if job["user"]:
        smtp.login(job["user"], job["password"])
    for letter in job["letters"]:
        options = ["BODY=8BITMIME"] if letter["eightBit"] else []
        options += ["SMTPUTF8"] if letter["utf8"] else []
        with open(letter["file"], "rb") as file:
            refused = smtp.sendmail(letter["from"], letter["to"], file.read(), options)
        for recipient, reply in refused.items():
            print("refused:", recipient, reply)
