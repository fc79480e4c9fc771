// Sends the message on standard input with nodemailer: send.mjs HOST PORT FROM TO...
import { createTransport } from "nodemailer";

const [host, port, from, ...to] = process.argv.slice(2);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const transport = createTransport({ host, port: Number(port), secure: false, ignoreTLS: true });
await transport.sendMail({ envelope: { from, to }, raw: Buffer.concat(chunks) });
transport.close();
