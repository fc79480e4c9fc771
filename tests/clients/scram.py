"""SCRAM-SHA-256-PLUS as another program does it: scram.py PORT CA-FILE USER PASSWORD, over a port whose TLS begins at once.

With `exporter` as a fifth argument it binds to tls-exporter, through openssl's s_client, which can say what is exported; otherwise to
tls-server-end-point. Prints the replies to AUTH and to a message."""
import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import subprocess
import sys

port, ca, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def over_openssl():
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "mail.test", "-CAfile", ca,
               "-verify_return_error", "-tls1_3", "-quiet", "-no_ign_eof", "-crlf", "-keymatexport", "EXPORTER-Channel-Binding",
               "-keymatexportlen", "32"]
    # Without -quiet it prints what is exported, and takes lines that begin with a Q or an R for commands of its own.
    command.remove("-quiet")
    child = subprocess.Popen(command + ["-nocommands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen = b""
    while True:
        line = child.stdout.readline()
        if not line:
            sys.exit(seen.decode())
        seen += line
        if b"Keying material: " in line:
            material = bytes.fromhex(line.split(b": ")[1].strip().decode())
        if line.startswith(b"220 "):
            return child.stdout, child.stdin, b"tls-exporter", material


def over_socket():
    context = ssl.create_default_context(cafile=ca)
    stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="mail.test")
    file = stream.makefile("rwb", buffering=0)
    # The certificates of these tests are signed with SHA-256.
    end_point = hashlib.sha256(stream.getpeercert(binary_form=True)).digest()
    file.readline()
    return file, file, b"tls-server-end-point", end_point


reader, writer, kind, binding = over_openssl() if "exporter" in sys.argv else over_socket()
ending = b"\n" if "exporter" in sys.argv else b"\r\n"


def say(line):
    writer.write(line + ending)
    writer.flush()
    while True:
        reply = reader.readline().strip()
        if reply[:3].isdigit() and reply[3:4] != b"-":
            return reply


def said(reply):
    return base64.b64decode(reply[4:])


def mac(key, text):
    return hmac.new(key, text, "sha256").digest()


say(b"EHLO client.test")
nonce = secrets.token_hex(8).encode()
header, bare = b"p=" + kind + b",,", b"n=" + user.encode() + b",r=" + nonce
first = said(say(b"AUTH SCRAM-SHA-256-PLUS " + base64.b64encode(header + bare)))
fields = dict(field.split(b"=", 1) for field in first.split(b","))
assert fields[b"r"].startswith(nonce)
salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"]))
key = mac(salted, b"Client Key")
final = b"c=" + base64.b64encode(header + binding) + b",r=" + fields[b"r"]
signed = bare + b"," + first + b"," + final
proof = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), signed)))
reply = say(base64.b64encode(final + b",p=" + base64.b64encode(proof)))
if reply.startswith(b"334 "):
    assert said(reply) == b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), signed)), "the server does not know the password"
    reply = say(b"")
print(reply.decode())
if reply.startswith(b"235"):
    for line in [b"MAIL FROM:<shop@example.org>", b"RCPT TO:<a@one.test>", b"DATA"]:
        say(line)
    print(say(b"Subject: bound" + ending + ending + b"." ).decode())
