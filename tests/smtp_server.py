"""A real SMTP server (aiosmtpd) for tests. It prints its port, and writes each message that it takes as a line of JSON.

Usage: smtp_server.py MODE FILE [CERT KEY]; MODE is plain, starttls or tls; with a certificate, a login is needed.
What it does is decided by the addresses and subjects that it gets: see below.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mode, target = sys.argv[1:3]
certificate = sys.argv[3:5]
seen = {}


def is_first(what):
    seen[what] = seen.get(what, 0) + 1
    return seen[what] == 1


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("later") and is_first(address):
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        subject = str(message["subject"])
        if subject.startswith("busy") and is_first(subject):
            return "452 4.3.1 the mailbox is full"
        if subject.startswith("spam"):
            return "554 5.7.1 no, thank you"
        parts = []
        for part in message.walk():
            if not part.is_multipart():
                content = part.get_payload(decode=True)
                text = content.decode() if part.get_content_maintype() == "text" else content.hex()
                parts.append({"type": part.get_content_type(), "name": part.get_filename(), "content": text})
        headers = {name.lower(): str(value) for name, value in message.items()}
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": headers,
            "parts": parts,
            "kinds": [part.get_content_type() for part in message.walk() if part.is_multipart()],
            "is_encrypted": session.ssl is not None or mode == "tls",
        }
        with open(target, "a") as file:
            file.write(json.dumps(line) + "\n")
        if subject.startswith("lost") and is_first(subject):
            # The message is taken, but nobody learns that.
            server.transport.abort()
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    # Not handled: the server itself answers 535.
    return AuthResult(success=data.login == b"shop" and data.password == b"p@ss word", handled=False)


async def serve():
    context = None
    options = {"enable_SMTPUTF8": True, "hostname": "localhost"}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        options.update(authenticator=login, auth_required=True, auth_require_tls=mode != "tls")
    if mode == "starttls":
        options.update(tls_context=context, require_starttls=True)
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(Handler(), loop=loop, **options)
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
