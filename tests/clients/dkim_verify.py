#!/usr/bin/python3
"""Verifies the DKIM signatures of messages by dkimpy: for each line on standard input, the name of a file, prints a line with the
selectors whose signatures are good, and BAD for each that is not. The argument names a file of DNS records as dkim-record prints them."""

import base64
import hashlib
import re
import sys

import dkim
from dkim.canonicalization import Relaxed

records = {}
for line in open(sys.argv[1]):
    name, text = line.split(" IN TXT", 1)
    records[name.encode()] = "".join(re.findall('"([^"]*)"', text)).encode()


def verify(message, index, value):
    tags = dict(tag.strip().split("=", 1) for tag in re.sub(r"\s", "", value.decode()).split(";") if tag.strip())
    whole_lines = not re.search(rb"(?<!\r)\n|\r(?!\n)", message)
    if whole_lines:
        good = dkim.DKIM(message).verify(idx=index, dnsfunc=lambda name, timeout=5: records.get(name))
    else:
        # dkimpy mends line ends before it looks at a message: the hash of the body alone is left to compare.
        body = message.split(b"\r\n\r\n", 1)[1]
        hashed = hashlib.sha256(Relaxed.canonicalize_body(body)).digest()
        good = base64.b64decode(tags["bh"]) == hashed
    return tags["s"] if good else "BAD"


def verdict(message, index, value):
    try:
        return verify(message, index, value)
    except Exception as error:
        # A body with another hash, or a header that dkimpy cannot read.
        print(repr(error), file=sys.stderr)
        return "BAD"


for name in sys.stdin:
    message = open(name.strip(), "rb").read()
    header = re.sub(rb"\r\n[ \t]+", b" ", message.split(b"\r\n\r\n", 1)[0])
    signatures = re.findall(rb"^dkim-signature:(.*)$", header, re.I | re.M)
    print(" ".join(verdict(message, index, value) for index, value in enumerate(signatures)) or "unsigned", flush=True)
