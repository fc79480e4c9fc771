"""Sends the message on standard input with Python's smtplib: smtplib_send.py HOST PORT FROM TO..."""
import smtplib
import sys

host, port, sender, *recipients = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=20) as smtp:
    smtp.sendmail(sender, recipients, sys.stdin.buffer.read())
