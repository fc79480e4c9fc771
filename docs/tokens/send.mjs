// Sends mail with the token of the pod's service account, by nodemailer.
import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const { MAIL_HOST, MAIL_PORT, MAIL_CA, MAIL_TOKEN } = process.env;

const transport = nodemailer.createTransport({
  host: MAIL_HOST,
  port: Number(MAIL_PORT),
  requireTLS: true,
  tls: { ca: readFileSync(MAIL_CA) },
  // XOAUTH2. The kubelet renews the token, so a transport is made for each connection.
  auth: { type: "OAuth2", user: "pod", accessToken: readFileSync(MAIL_TOKEN, "ascii").trim() },
});
await transport.sendMail({
  from: "Shop <orders@shop.example.org>",
  to: "someone@example.com",
  subject: "Your order",
  text: "It is on its way.\n",
});
