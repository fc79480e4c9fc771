"""An SMTP server with the TLS of OpenSSL: takes mail, and writes down what it saw, a JSON object a line."""

import json, socket, ssl, sys, threading

wanted = json.loads(sys.argv[1])
lock = threading.Lock()


def note(**seen):
    with lock:
        print(json.dumps(seen), flush=True)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(wanted["chain"], wanted["key"])
if wanted.get("authority"):
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(wanted["authority"])
if wanted.get("ciphers"):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(wanted["ciphers"])


def under_tls(stream):
    stream = context.wrap_socket(stream, server_side=True)
    shown = stream.getpeercert() or {}
    names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    note(event="tls", version=stream.version(), resumed=stream.session_reused, client=names[0] if names else None)
    return stream


def serve(stream):
    secure = wanted["mode"] == "Implicit"
    if secure:
        stream = under_tls(stream)
    lines = stream.makefile("rb")
    say = lambda text: stream.sendall(text.encode() + b"\r\n")
    say("220 host.test ESMTP")
    first = True
    while line := lines.readline():
        if first:
            # Not before: whoever only looks whether the port is open says nothing.
            note(event="connection")
            first = False
        line = line.decode("utf-8", "replace").strip()
        verb = line.split(" ")[0].split(":")[0].upper()
        note(event="command", line=line, secure=secure)
        if verb == "EHLO":
            offered = ["host.test", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
            offered += [] if secure or wanted["mode"] == "None" else ["STARTTLS"]
            # RFC 8689.
            offered += ["REQUIRETLS"] if secure and wanted.get("requireTls") else []
            for name in offered:
                stream.sendall(f"250-{name}\r\n".encode())
            say("250 SIZE 0")
        elif verb == "STARTTLS" and "startTls" in wanted:
            # As it is told: a refusal, or more than a reply.
            stream.sendall(wanted["startTls"].encode())
            if not wanted["startTls"].startswith("220"):
                continue
            stream, secure = under_tls(stream), True
            lines = stream.makefile("rb")
        elif verb == "STARTTLS":
            say("220 2.0.0 go ahead")
            stream, secure = under_tls(stream), True
            lines = stream.makefile("rb")
        elif verb == "DATA":
            say("354 go on")
            text = []
            while (part := lines.readline()) not in (b".\r\n", b""):
                text.append(part.decode("latin-1"))
            note(event="message", text="".join(text), secure=secure)
            say("250 2.0.0 taken")
        elif verb == "QUIT":
            say("221 2.0.0 bye")
            break
        else:
            say("250 2.0.0 ok")
    if secure:
        stream = stream.unwrap()
    stream.close()


def session(stream):
    try:
        serve(stream)
    except (OSError, ValueError) as error:
        note(event="broken", text=str(error))
        stream.close()


listener = socket.create_server(("127.0.0.1", wanted["port"]))
while True:
    threading.Thread(target=session, args=(listener.accept()[0],), daemon=True).start()
