// Sends letters on one connection with nodemailer: send.mjs JOB. src/clients.rs says what a job is.
import { readFileSync } from "node:fs";
import { createTransport } from "nodemailer";

const { host, port, letters, user, password } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const auth = user ? { user, pass: password } : undefined;
const transport = createTransport({ host, port, auth, secure: false, ignoreTLS: true, pool: true, maxConnections: 1 });
for (const letter of letters) {
  const envelope = { from: letter.from, to: letter.to, use8BitMime: letter.eightBit };
  const info = await transport.sendMail({ envelope, raw: readFileSync(letter.file) });
  for (const error of info.rejectedErrors ?? []) console.log("refused:", error.recipient, error.response);
}
transport.close();
