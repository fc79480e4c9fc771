// Sends letters on one connection with nodemailer: send.mjs JOB. src/clients.rs says what a job is.
import { readFileSync } from "node:fs";
import { createTransport } from "nodemailer";

const { host, port, letters, authority, user, password } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tls = authority ? { requireTLS: true, tls: { ca: readFileSync(authority) } } : { ignoreTLS: true };
const auth = user ? { auth: { user, pass: password } } : {};
const transport = createTransport({ host, port, secure: false, ...tls, ...auth, pool: true, maxConnections: 1 });
for (const letter of letters) {
  const envelope = { from: letter.from, to: letter.to, use8BitMime: letter.eightBit };
  const info = await transport.sendMail({ envelope, raw: readFileSync(letter.file) });
  for (const error of info.rejectedErrors ?? []) console.log("refused:", error.recipient, error.response);
}
transport.close();
